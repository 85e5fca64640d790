import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { makeRunFolder } from '../src/run-folder.ts'

/** Of a process that has ended a moment ago. */
const deadPid = Number(execFileSync(process.execPath, ['-p', 'process.pid'], { encoding: 'utf8' }))

test('only its owner may look into it, and it goes with the run', () => {
  const folder = makeRunFolder()
  expect(statSync(folder.path).mode & 0o777).toBe(0o700)
  folder.remove()
  expect(existsSync(folder.path)).toBe(false)
})

test('folders of dead processes are removed; those of the living, of other containers and of other tools stay', () => {
  const own = makeRunFolder()
  const space = /testdb-run-(\d+)-/.exec(own.path)?.[1]
  own.remove()
  const place = (name: string): string => join(tmpdir(), name)
  const dead = place(`testdb-run-${space}-${deadPid}-dead`)
  const living = place(`testdb-run-${space}-${process.ppid}-living`)
  const container = place(`testdb-run-1${space}-${deadPid}-else`)
  const others = place(`testdb-runs-${space}-${deadPid}-else`)
  const all = [dead, living, container, others]
  try {
    for (const path of all) mkdirSync(path)
    makeRunFolder().remove()
    expect(all.map((path) => existsSync(path))).toEqual([false, true, true, true])
  } finally {
    for (const path of all) rmSync(path, { recursive: true, force: true })
  }
})
