/** One schema with its template and a leased database; knows what each state of it has to be. */
import { expect } from 'vitest'
import type { Lease } from '../../../src/databases/lease.ts'
import { snapshotDatabase } from '../../helpers/snapshot.ts'
import { type TestRun, World } from '../../helpers/world.ts'
import { Connections } from './connections.ts'
import { differences, type Fingerprint, takeFingerprint } from './fingerprint.ts'
import { Random } from './random.ts'
import { type Schema, someSchema } from './schema.ts'

export class Arena implements AsyncDisposable {
  readonly schema: Schema
  readonly connections: Connections
  readonly #world: World
  readonly #run: TestRun
  readonly #lease: Lease
  readonly #template: Fingerprint
  readonly #detailed: boolean
  /** What the sequences give first. */
  #next: unknown
  #levels: Fingerprint[] = []

  private constructor(
    schema: Schema,
    world: World,
    run: TestRun,
    lease: Lease,
    template: Fingerprint,
    detailed: boolean,
  ) {
    this.schema = schema
    this.connections = new Connections(world, lease)
    this.#world = world
    this.#run = run
    this.#lease = lease
    this.#template = template
    this.#detailed = detailed
  }

  /** `detailed`: a difference is shown row by row, which costs much per checkpoint; else the template's only. */
  static async open(seed: number, detailed: boolean): Promise<Arena> {
    const schema = someSchema(new Random(seed))
    const world = await World.create()
    const run = await world.run()
    try {
      const template = await world.template({ ...schema, reset: 'rows' }, run)
      const lease = await world.acquire(world.context(run, template, { reset: 'rows' }))
      await using session = await world.connect(lease.name)
      const arena = new Arena(schema, world, run, lease, await takeFingerprint(session, true, true), detailed)
      arena.#next = await arena.#nextValues()
      await lease.reset()
      return arena
    } catch (error) {
      await run.end()
      await world.close()
      throw error
    }
  }

  get level(): number {
    return this.#levels.length
  }

  /** Whether there is anything to undo. */
  async differs(): Promise<boolean> {
    return (await differences(await this.connections.watcher(), this.#template)).length > 0
  }

  /** Goes back to a checkpoint or to the template, and compares. */
  async back(level: number): Promise<void> {
    await this.#lease.rewind(level, 'the workload')
    // A reset that failed for a known reason has replaced the database, and the checkpoints with it.
    this.#levels = this.#levels.slice(0, this.#lease.level)
    await this.#compare(this.level === 0 ? 'the template' : `checkpoint ${this.level}`)
  }

  async checkpoint(): Promise<void> {
    const before = this.level
    const session = await this.connections.watcher()
    let level: number
    try {
      level = await this.#lease.checkpoint('the workload')
    } catch (error) {
      // Refused where the schema or large objects were changed.
      if (/the schema was changed|large objects were changed/.test(String(error))) return
      throw error
    }
    if (level > before) this.#levels.push(await takeFingerprint(session, false, this.#detailed))
    else await this.#compare('a checkpoint without changes')
  }

  /** Also values that a connection has cached must not be seen by a later test. */
  async checkNextValues(): Promise<void> {
    expect(await this.#nextValues(), 'the next values of the sequences').toEqual(this.#next)
  }

  async #nextValues(): Promise<unknown> {
    const values = this.schema.sequences.map((name, place) => `nextval('${name}')::text as "${place}"`)
    return (await (await this.connections.of(1)).query(`select ${values.join(', ')}`)).rows
  }

  async #compare(what: string): Promise<void> {
    const wanted = this.#levels.at(-1) ?? this.#template
    const session = await this.connections.watcher()
    const differing = await differences(session, wanted)
    if (differing.length === 0) return
    const message = `${what}: ${differing.join(', ')}`
    if (wanted.snapshot) expect(await snapshotDatabase(session), message).toEqual(wanted.snapshot)
    throw new Error(message)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.connections.closeAll()
    await this.#lease.release()
    await this.#run.end()
    await this.#world.close()
  }
}
