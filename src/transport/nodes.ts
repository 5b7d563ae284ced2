import type { Clock } from '#runtime'
import type { RelayNode, Relays } from '#store'

const NODES_MAX = 256
/** Ids without a relay that are kept in memory; a client may invent such ids. */
const MISSING_MAX = 1_024
/**
 * How long an id without a relay is not looked up again. A relay that comes back registers itself
 * at any moment.
 */
const MISSING_MS = 500

/**
 * The addresses of the other relays. A relay keeps its address for as long as it lives, and
 * sessions outlive their relay's record in Redis. So an address that was found once is used until
 * the relay cannot be reached there, even if Redis lost the record or does not answer.
 */
export class Nodes {
  readonly #clock: Clock
  readonly #relays: Relays
  readonly #known = new Map<string, Readonly<{ node: RelayNode; isDoubtful: boolean }>>()
  readonly #missingUntilMs = new Map<string, number>()

  constructor(clock: Clock, relays: Relays) {
    this.#clock = clock
    this.#relays = relays
  }

  /** The address of a relay; `null`: no such relay is known. */
  async find(nodeId: string): Promise<RelayNode | null> {
    const known = this.#known.get(nodeId)
    if (known?.isDoubtful === false) return known.node
    if ((this.#missingUntilMs.get(nodeId) ?? 0) > this.#clock.monotonicMs()) return null
    try {
      const node = await this.#relays.find(nodeId)
      this.#keep(nodeId, node)
      return node
    } catch {
      return known?.node ?? null // Redis is away
    }
  }

  /** The relay did not answer: its address is looked up again before the next request. */
  doubt(nodeId: string): void {
    const known = this.#known.get(nodeId)
    if (known !== undefined) this.#known.set(nodeId, { ...known, isDoubtful: true })
  }

  #keep(nodeId: string, node: RelayNode | null): void {
    if (node === null) {
      this.#known.delete(nodeId)
      makeRoom(this.#missingUntilMs, MISSING_MAX)
      this.#missingUntilMs.set(nodeId, this.#clock.monotonicMs() + MISSING_MS)
    } else {
      if (!this.#known.has(nodeId)) makeRoom(this.#known, NODES_MAX)
      this.#known.set(nodeId, { node, isDoubtful: false })
    }
  }
}

/** If the map is full, its oldest entry is removed. */
function makeRoom(map: Map<string, unknown>, sizeMax: number): void {
  if (map.size >= sizeMax) map.delete(map.keys().next().value ?? '')
}
