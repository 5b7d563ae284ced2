import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client'

/** Seconds; from a market order to an order that rests in the book. */
export const orderSecondsBuckets = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]
/** Seconds; the lag of an event on its way to a client. */
export const lagSecondsBuckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1]

/** Values that may wait before they are added to a histogram. */
const WAITING_MAX = 256

/**
 * The metrics of one process. Labels come from closed sets only: never a user, a symbol or an
 * order.
 */
export class Metrics {
  readonly registry = new Registry()

  /**
   * @param withProcess adds the CPU, memory and event-loop figures of the process; off in tests,
   *   which start many processes.
   */
  constructor(withProcess = false) {
    if (withProcess) collectDefaultMetrics({ register: this.registry })
  }

  counter<Label extends string>(
    name: string,
    help: string,
    labelNames: readonly Label[] = [],
  ): Counter<Label> {
    return new Counter({ name, help, labelNames: [...labelNames], registers: [this.registry] })
  }

  /**
   * A counter of an action that happens with every event. The count is kept as a bare number, and
   * added to the vendor's counter when the metrics are read.
   */
  tally(name: string, help: string): { inc(): void } {
    let waiting = 0
    const collect = function (this: Counter): void {
      this.inc(waiting)
      waiting = 0
    }
    new Counter({ name, help, collect, registers: [this.registry] })
    return { inc: () => void (waiting += 1) }
  }

  /**
   * A histogram of an action that happens with every event: values are added many at a time, which
   * costs a fraction of adding each alone.
   */
  distribution(name: string, help: string, buckets: number[]): { observe(value: number): void } {
    const waiting: number[] = []
    const book = (): void => waiting.splice(0).forEach((value) => histogram.observe(value))
    const histogram = new Histogram({
      name,
      help,
      buckets,
      collect: book,
      registers: [this.registry],
    })
    return {
      observe(value) {
        if (waiting.push(value) >= WAITING_MAX) book()
      },
    }
  }

  gauge<Label extends string>(
    name: string,
    help: string,
    labelNames: readonly Label[] = [],
  ): Gauge<Label> {
    return new Gauge({ name, help, labelNames: [...labelNames], registers: [this.registry] })
  }

  histogram<Label extends string>(
    name: string,
    help: string,
    buckets: number[],
    labelNames: readonly Label[] = [],
  ): Histogram<Label> {
    return new Histogram({
      name,
      help,
      buckets,
      labelNames: [...labelNames],
      registers: [this.registry],
    })
  }
}
