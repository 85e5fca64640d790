import { HttpError } from '../errors.js'

export const pageQuery = {
  limit: { type: 'integer', minimum: 1, maximum: 100, default: 20 },
  cursor: { type: 'string' },
}

/**
 * Keyset pagination: rows in the order of their id, and a cursor that continues behind the last one.
 * Unlike an offset it neither repeats nor skips rows when others are inserted or deleted meanwhile.
 */
export async function paginate(query, { limit = 20, cursor, descending = false } = {}) {
  const page = query.clone().orderBy('id', descending ? 'desc' : 'asc')
  if (cursor) page.where('id', descending ? '<' : '>', decode(cursor))

  const rows = await page.limit(limit + 1)
  const data = rows.slice(0, limit)
  return { data, next_cursor: rows.length > limit ? encode(data.at(-1).id) : null }
}

function encode(id) {
  return Buffer.from(`id:${id}`).toString('base64url')
}

function decode(cursor) {
  const [, id] = /^id:(\d{1,15})$/.exec(Buffer.from(cursor, 'base64url').toString()) ?? []
  if (!id) throw new HttpError(400, 'invalid_cursor', 'the cursor is not one of ours')
  return Number(id)
}
