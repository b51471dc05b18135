import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { Failure } from '../../src/failure.ts'
import { type UserData, userData } from '../../src/runner/user-data.ts'

const run = promisify(execFile)
const given: UserData = {
  label: 'night-1-1',
  version: '2.337.0',
  sha256: { x64: 'a'.repeat(64) },
  downloads: ['https://mirror.example/runner'],
  configuration: 'c2VjcmV0',
}

test('user data is a script that bash can read, well within what RunInstances takes', async () => {
  const script = userData({ ...given, configuration: 'x'.repeat(8000) })
  await expect(run('bash', ['-n', '-c', script])).resolves.toMatchObject({ stderr: '' })
  expect(Buffer.byteLength(script)).toBeLessThan(16 * 1024)
  expect(script).not.toContain('set -x')
})

test('user data that would be too large is refused', () => {
  const downloads = Array.from(
    { length: 400 },
    (_, n) => `https://mirror-${n}.example/${'a'.repeat(80)}`,
  )
  expect(() => userData({ ...given, downloads })).toThrow(Failure)
})

test('what is put into the script cannot leave its quotes', async () => {
  const label = `a'; echo out > /tmp/x; '$(id)\`id\`"`
  const [line = ''] = /^label=.*$/m.exec(userData({ ...given, label })) ?? []
  const { stdout } = await run('bash', ['-c', `${line}\nprintf %s "$label"`])
  expect(stdout).toBe(label)
})

/** Whether this account may make a mount namespace: then the script runs on a system of its own. */
const mayUnshare = await run('unshare', ['--mount', 'true']).then(
  () => process.getuid?.() === 0,
  () => false,
)
const inNamespace = mayUnshare ? describe : describe.skip
inNamespace(`the script${mayUnshare ? '' : ' (skipped: needs root and mount namespaces)'}`, () => {
  let directory: string
  let server: Server
  let wrongPackages: string[]
  let requests: string[]
  let archive: Buffer

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), 'user-data-'))
    // the user that the script makes must be able to look in
    chmodSync(directory, 0o755)
    for (const name of ['bin', 'opt', 'log', 'home', 'package']) mkdirSync(join(directory, name))
    cpSync('/etc', join(directory, 'etc'), { recursive: true, verbatimSymlinks: true })
    writeFileSync(join(directory, 'console'), '')
    const runner = `#!/bin/bash\necho "job of $(id -un) in $PWD with $HOME: $ACTIONS_RUNNER_INPUT_JITCONFIG, arguments: $*"\nexit 3\n`
    writeFileSync(join(directory, 'package', 'run.sh'), runner, { mode: 0o755 })
    await run('tar', ['-czf', join(directory, 'p.tgz'), '-C', join(directory, 'package'), '.'])
    archive = readFileSync(join(directory, 'p.tgz'))
    stub(
      'lsblk',
      'if [ "$1" = -dnpo ]; then echo "/dev/root disk"; echo "$DISK disk"; elif [ "$3" = "$DISK" ]; then echo one; else printf "one\\ntwo\\n"; fi',
    )
    stub('blkid', 'exit 2')
    stub('mount', 'echo "mount $*"')
    stub('sleep', 'exit 0')
    await run('truncate', ['--size', '16M', join(directory, 'disk')])
    wrongPackages = []
    requests = []
    server = createServer((request, response) => {
      requests.push(request.url ?? '')
      const [, mirror = ''] = (request.url ?? '').split('/')
      if (mirror === 'none') return void response.writeHead(404).end()
      response.end(wrongPackages.includes(mirror) ? 'something else' : archive)
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  })

  afterEach(async () => {
    await new Promise((resolve) => server.close(resolve))
    rmSync(directory, { recursive: true, force: true })
  })

  function stub(name: string, code: string): void {
    writeFileSync(join(directory, 'bin', name), `#!/bin/bash\n${code}\n`, { mode: 0o755 })
  }

  /** Runs the script as root of a system whose /etc, /opt, /home and logs are a copy. @returns its status and its log */
  async function boot(mirrors: string[], change: Partial<UserData> = {}) {
    const { port } = server.address() as AddressInfo
    const sum = createHash('sha256').update(archive).digest('hex')
    const script = userData({
      ...given,
      sha256: { x64: sum, arm64: sum },
      downloads: mirrors.map((mirror) => `http://127.0.0.1:${port}/${mirror}`),
      ...change,
    })
    writeFileSync(join(directory, 'user-data'), script, { mode: 0o700 })
    const binds = [
      ['etc', '/etc'],
      ['opt', '/opt'],
      ['log', '/var/log'],
      ['home', '/home'],
      ...(existsSync('/dev/console') ? [['console', '/dev/console']] : []),
    ].map(([from, to]) => `/bin/mount --bind ${join(directory, from ?? '')} ${to}`)
    const status = await run(
      'unshare',
      ['--mount', 'bash', '-c', `${binds.join(' && ')} && exec ${join(directory, 'user-data')}`],
      {
        env: {
          PATH: `${join(directory, 'bin')}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`,
          DISK: join(directory, 'disk'),
        },
      },
    ).then(
      () => 0,
      (error: { code?: number }) => error.code,
    )
    return { status, log: readFileSync(join(directory, 'log', 'github-runner.log'), 'utf8') }
  }

  test('makes the disk and the user, checks the package, and starts the runner as that user', async () => {
    wrongPackages = ['wrong']
    const { status, log } = await boot(['none', 'wrong', 'good'])
    expect(log).toContain(
      'job of github-runner in /opt/github-runner/runner with /home/github-runner',
    )
    expect(log).toContain(': c2VjcmV0, arguments: \n')
    expect(log).toContain('no package from there')
    expect(log).toContain('the SHA-256 of what came from there is wrong, it is thrown away')
    expect(log).toContain('the runner ended with status 3')
    expect(status).toBe(0)
    expect(requests).toContain('/good/v2.337.0/actions-runner-linux-x64-2.337.0.tar.gz')
    const { stdout } = await run('blkid', [
      '-p',
      '-o',
      'value',
      '-s',
      'TYPE',
      join(directory, 'disk'),
    ])
    expect(stdout.trim()).toBe('ext4')
    if (existsSync('/dev/console'))
      expect(readFileSync(join(directory, 'console'), 'utf8')).toContain(
        'starting the runner 2.337.0',
      )
  })

  test('starts nothing that has another SHA-256', async () => {
    wrongPackages = ['a', 'b']
    const { status, log } = await boot(['a', 'b'])
    expect(status).toBe(1)
    expect(log).toContain('FAILED: the runner could not be downloaded')
    expect(log).not.toContain('job of')
  })

  test.each([
    ['an older glibc', 'getconf', 'echo "glibc 2.23"', 'glibc 2.23 is older than 2.28'],
    ['another processor', 'uname', 'echo riscv64', 'there is no runner for the processor riscv64'],
    ['no data disk', 'lsblk', 'true', 'the data disk did not appear'],
    ['a disk that is not empty', 'blkid', 'exit 0', 'the data disk did not appear'],
    ['a disk that cannot be formatted', 'mkfs.ext4', 'exit 1', 'FAILED in line'],
  ])('says so on %s', async (_, program, code, words) => {
    stub(program, code)
    const { status, log } = await boot(['good'])
    expect(status).toBe(1)
    expect(log).toContain(words)
    expect(requests).toEqual([])
  })

  test('says so where no SHA-256 is known for the processor', async () => {
    stub('uname', 'echo aarch64')
    const { log } = await boot(['good'], { sha256: { x64: 'a'.repeat(64) } })
    expect(log).toContain('no SHA-256 is known for arm64')
  })
})
