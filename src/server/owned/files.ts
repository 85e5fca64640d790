/** What lies in the folder of a server that testdb starts and stops; every kind adds its own. */
export interface ServerFiles {
  readonly folder: string
  /** How to reach the running server (0600): a hint, see state-file.ts. */
  readonly state: string
  /** Held while starting or stopping (proper-lockfile); `<lock>.holder` says by whom. */
  readonly lock: string
  /** There while `testdb up` wants the server to stay. */
  readonly keep: string
  readonly supervisorLog: string
}
