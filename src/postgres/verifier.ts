/** What a server keeps in the place of a password, and whether a password is the one. */
import { createHash, createHmac, pbkdf2 } from 'node:crypto'
import { promisify } from 'node:util'

const derive = promisify(pbkdf2)

/** `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`, of which the last three are in base64 (RFC 5803). */
const SCRAM = /^SCRAM-SHA-256\$(?<iterations>\d+):(?<salt>[^$]+)\$(?<storedKey>[^:]+):/

/**
 * Whether `rolpassword` of pg_authid was made from this password, which is ASCII; false for whatever is not of a known kind.
 * Trying to log in says the same and costs the server a process.
 */
export async function isPassword(verifier: string | null, user: string, password: string): Promise<boolean> {
  // Only where it is asked for: machines in FIPS mode have no such hash.
  if (verifier?.startsWith('md5'))
    return (
      verifier.slice(3) ===
      createHash('md5')
        .update(password + user)
        .digest('hex')
    )
  const { iterations, salt, storedKey } = SCRAM.exec(verifier ?? '')?.groups ?? {}
  if (salt === undefined) return false
  // SaltedPassword, ClientKey and StoredKey of RFC 5802, section 3.
  const salted = await derive(password, Buffer.from(salt, 'base64'), Number(iterations), 32, 'sha256')
  const clientKey = createHmac('sha256', salted).update('Client Key').digest()
  return createHash('sha256').update(clientKey).digest('base64') === storedKey
}
