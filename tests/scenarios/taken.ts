import type { Broker } from '../../workers/broker/port.ts'

/** A broker that differs from the real one in some calls: a defect that is planted. */
export const taken = (broker: Broker, over: Partial<Broker>): Broker =>
  Object.assign(Object.create(broker) as Broker, over)
