/** For the demonstration: every so many requests the middleware forgets to give its connection back. */
const leakEvery = Number(process.env.LOAD_LEAK_EVERY ?? 0)
let requests = 0

/**
 * The auth middleware: takes the one connection of the request, reads who is asking, and hands both on. Whoever comes after it uses
 * that connection; a second one per request would need twice as many, and could wait for it while it holds the first.
 */
export async function authenticated({ pool }, request, handle) {
  const client = await pool.connect()
  let broken
  try {
    const token = request.headers.authorization?.replace('Bearer ', '') ?? ''
    const { rows } = await client.query({
      name: 'token',
      text: 'select customer from tokens where token = $1',
      values: [token],
    })
    if (rows.length === 0) return { status: 401, body: { error: 'unauthorized' } }
    return await handle(client, rows[0].customer)
  } catch (error) {
    broken = error
    throw error
  } finally {
    const leaks = leakEvery > 0 && ++requests % leakEvery === 0
    // A connection on which something has failed may be in any state: it is closed, not given back.
    if (!leaks) client.release(broken)
  }
}
