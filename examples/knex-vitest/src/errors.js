/** An error whose message may be shown to the client. */
export class HttpError extends Error {
  constructor(status, code, message, details) {
    super(message)
    this.status = status
    this.code = code
    this.details = details
  }
}

export const notFound = (what) => new HttpError(404, 'not_found', `${what} not found`)
export const unauthorized = (message) => new HttpError(401, 'unauthorized', message)
export const forbidden = (message) => new HttpError(403, 'forbidden', message)
export const conflict = (code, message, details) => new HttpError(409, code, message, details)

// SQLSTATE → what it means to a client. The database is the last word on every rule,
// so routes don't check first: they write, and a broken constraint becomes one of these.
const CONSTRAINT_ERRORS = {
  23502: [422, 'value_missing'],
  23503: [422, 'reference_invalid'],
  23505: [409, 'already_exists'],
  23514: [422, 'rule_violated'],
  '23P01': [409, 'overlaps'],
  22003: [422, 'number_out_of_range'],
  22001: [422, 'text_too_long'],
}

/** A driver error as an HttpError, or undefined when it is none of the client's business. */
export function fromDatabaseError(error) {
  // "update or delete on table … violates foreign key": the row itself is still needed.
  if (error.code === '23503' && error.message.includes('update or delete on table')) {
    return new HttpError(409, 'still_referenced', 'something else still refers to it', details(error))
  }
  const [status, code] = CONSTRAINT_ERRORS[error.code] ?? []
  return status && new HttpError(status, code, describe(error), details(error))
}

function details({ constraint, column, table }) {
  return { constraint, column, table }
}

function describe({ constraint, column, code }) {
  if (constraint) return `violates ${constraint}`
  if (column) return `${column} is required`
  return code === '22003' ? 'a number is too large' : 'the database refused the value'
}

export function errorHandler(error, request, reply) {
  const known = error instanceof HttpError ? error : fromDatabaseError(error)
  if (known) return send(reply, known.status, known.code, known.message, known.details)
  if (error.validation) return send(reply, 400, 'invalid_request', error.message)
  if (error.statusCode < 500) return send(reply, error.statusCode, 'bad_request', error.message)

  request.log.error(error)
  return send(reply, 500, 'internal', 'something went wrong')
}

export function notFoundHandler(request, reply) {
  return send(reply, 404, 'not_found', `${request.method} ${request.url.split('?')[0]} does not exist`)
}

function send(reply, status, code, message, details) {
  return reply.code(status).send({ error: { code, message, details } })
}
