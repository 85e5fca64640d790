/** Reads option values; a wrong one is wrong usage (exit code 2). */
import { statSync } from 'node:fs'
import path from 'node:path'
import { CommanderError, InvalidArgumentError } from 'commander'

const DAY_SECONDS = 86_400
const CENTURY_DAYS = 36_500

export function existingFolder(value: string): string {
  const folder = path.resolve(value)
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory()) return folder
  throw new InvalidArgumentError(`${folder} is not a folder.`)
}

export function seconds(value: string): number {
  return numberIn(value, DAY_SECONDS, /^\d+(\.\d+)?$/, `a number of seconds from 0 to ${DAY_SECONDS}`)
}

export function keepDays(value: string): number {
  return numberIn(value, CENTURY_DAYS, /^\d+$/, `a whole number of days from 0 to ${CENTURY_DAYS}`)
}

/** Nobody has that many users, pods or connections; far more would only be a typing error. */
const MOST = 100_000

/** People, pods and connections: `least` is 1 where 0 makes no sense. */
export const count =
  (least: 0 | 1) =>
  (value: string): number => {
    const expected = `a whole number from ${least} to ${MOST}`
    const number = numberIn(value, MOST, /^\d+$/, expected)
    if (number >= least) return number
    throw new InvalidArgumentError(`Expected ${expected}.`)
  }

function numberIn(value: string, max: number, form: RegExp, expected: string): number {
  const number = form.test(value) ? Number(value) : Number.NaN
  if (number <= max) return number
  throw new InvalidArgumentError(`Expected ${expected}.`)
}

/** Options that are right one by one but not together. */
export class WrongUsage extends CommanderError {
  constructor(message: string) {
    super(2, 'testdb.usage', `error: ${message}`)
  }
}
