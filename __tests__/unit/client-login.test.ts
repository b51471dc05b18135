import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { Failure } from '../../src/failure.ts'
import { checkClientLogin } from '../../src/migration/checks/client-login.ts'
import { parseConnectionString } from '../../src/postgres/connection-string.ts'

let directory: string
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'client-login-'))
})
afterAll(() => rmSync(directory, { recursive: true, force: true }))

/** Tries to log in with a psql that says something on stderr and ends with a code. */
async function attempt(
  says: string,
  code: number,
  role: 'source' | 'target' = 'target',
  version = '9.6.24',
  more = '',
): Promise<{ failure?: Failure; warned: string[] }> {
  const psql = join(directory, 'psql')
  writeFileSync(psql, `#!/bin/sh\necho '${says}' >&2\nexit ${code}\n`)
  chmodSync(psql, 0o755)
  const client = { majorName: '9.6', version, directory, origin: 'test', warnings: [] }
  const warned: string[] = []
  try {
    await checkClientLogin(
      client,
      parseConnectionString(`postgresql://mover@target.example/shop${more}`),
      role,
      '/dev/null',
      { signal: new AbortController().signal, warn: (text) => void warned.push(text) },
    )
    return { warned }
  } catch (error) {
    if (error instanceof Failure) return { failure: error, warned }
    throw error
  }
}

test.each([
  'psql: SCRAM authentication requires libpq version 10 or above',
  'psql: authentication method 10 not supported',
])('a libpq that knows no SCRAM is found before the dump: %s', async (says) => {
  const { failure } = await attempt(says, 2)
  expect(failure?.message).toContain('9.6.24 cannot log in to the target')
  expect(failure?.why).toContain('SCRAM')
  expect(failure?.remedy).toContain('client-version to 10 or newer')
})

test('so it is where the dump is made, and newer programs are not asked', async () => {
  const says = 'psql: SCRAM authentication requires libpq version 10 or above'
  const { failure } = await attempt(says, 2, 'source')
  expect(failure?.line).toMatch(/cannot log in to the source\. The source asks "mover"/)
  expect(await attempt(says, 2, 'source', '10.23')).toEqual({ warned: [] })
})

test('what else goes wrong is a warning, and a login that works is nothing', async () => {
  const lost = await attempt('psql: could not connect to server', 2)
  expect(lost.failure).toBeUndefined()
  expect(lost.warned).toEqual([expect.stringContaining('could not log in')])
  expect(await attempt('', 0)).toEqual({ warned: [] })
})

test('a parameter of the connection that an old libpq does not know is found before the dump, too', async () => {
  const says = 'psql: error: invalid connection option "channel_binding"'
  const { failure } = await attempt(says, 2, 'source', '12.22', '?channel_binding=require')
  expect(failure?.line).toMatch(
    /of PostgreSQL 12\.22 cannot be told how to connect to the source.*sets channel_binding.*Remove channel_binding from source, or set client-version/,
  )
  expect(await attempt(says, 2, 'source', '12.22')).toEqual({ warned: [] })
  expect(await attempt(says, 2, 'source', '14.1', '?channel_binding=require')).toEqual({
    warned: [],
  })
})
