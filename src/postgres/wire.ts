/** What the driver does not name in its types: the protocol of one of its connections, and its socket. */
import type pg from 'pg'

export type Wire = NodeJS.EventEmitter & { readonly stream: { ref?(): void; unref?(): void } }

export const wireOf = (client: pg.Client): Wire => (client as pg.Client & { connection: Wire }).connection
