import { createHash, randomBytes } from 'node:crypto'

const FORMAT = /^plan_[\w-]{32}$/

/** A new API token. Only its hash is stored; 24 random bytes need no salt. */
export function generateToken() {
  return `plan_${randomBytes(24).toString('base64url')}`
}

export function isToken(text) {
  return FORMAT.test(text)
}

export function hashToken(token) {
  return createHash('sha256').update(token).digest()
}
