/** Notifications (`LISTEN`, `NOTIFY`) as tests wait for them. */

/** What has come on a channel. */
export interface ReceivedNotification {
  readonly channel: string
  /** As it was sent; empty when there was none. */
  readonly payload: string
  /** True when the listening session was lost and made again before this one came: what was sent meanwhile is missing. */
  readonly afterGap: boolean
  /** The payload as JSON. Throws `SyntaxError` when it is none. */
  json(): unknown
}

/** A time in which nobody listened, because the session was lost. */
export interface ListenGap {
  readonly downMs: number
  readonly cause: string
}

export interface NextOptions {
  /** Milliseconds to wait; less than a runner gives to a test, so that the error that comes is the one that says why. @default 3_000 */
  readonly timeoutMs?: number
  /** Which one is waited for. Others stay for the next call. @default any */
  readonly where?: (notification: ReceivedNotification) => boolean
}

export interface WaitOptions extends NextOptions {
  /** Runs when the channel is listened to; the time of the wait begins when it has ended. */
  readonly act?: () => unknown
}

/** Ends with the test: a reset closes it. */
export interface Subscription extends AsyncDisposable {
  readonly channel: string
  /** What has come and was not taken by `next`, oldest first. */
  readonly waiting: readonly ReceivedNotification[]
  /** When the listening session was lost since `listen`: what was sent then is missing. */
  readonly gaps: readonly ListenGap[]
  /**
   * Takes the oldest notification that has come since `listen`, or waits for one.
   * Throws `TESTDB_NOTIFICATION_TIMEOUT`, `TESTDB_SUBSCRIPTION_ENDED`.
   */
  next(options?: NextOptions): Promise<ReceivedNotification>
  /** Listens no longer. Safe to call twice. */
  close(): Promise<void>
}
