import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, jest, test } from '@jest/globals'
import { Cancelled } from '../../src/failure.ts'
import { runProgram } from '../../src/postgres/programs/process.ts'

const env = { PATH: '/usr/bin:/bin' }
const alive = (pid: number) =>
  existsSync(`/proc/${pid}/stat`) && !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))

describe('a program', () => {
  test('gets only the environment that it is given', async () => {
    const { stdout } = await runProgram('/usr/bin/env', [], { env: { ONLY: 'this' } })
    expect(stdout).toBe('ONLY=this\n')
  })

  test('has its stderr read line by line, in UTF-8, the last line without its newline too', async () => {
    const lines: string[] = []
    await runProgram(
      '/bin/sh',
      ['-c', "printf 'one\\ntw\\303' >&2; sleep 0.1; printf '\\266\\nlast' >&2"],
      {
        env,
        onErrorLine: (line) => lines.push(line),
      },
    )
    expect(lines).toEqual(['one', 'twö', 'last'])
  })

  test('keeps a bounded tail of its output', async () => {
    const { stdout } = await runProgram('/bin/sh', ['-c', 'yes | head -c 3000000; echo end'], {
      env,
      keep: 1000,
    })
    expect(stdout).toHaveLength(1000)
    expect(stdout).toMatch(/end\n$/)
  })

  test('that does not exist is an error', async () => {
    await expect(runProgram('/nonexistent/program', [], { env })).rejects.toMatchObject({
      code: 'ENOENT',
    })
  })

  test('dies with its whole group when the job is cancelled, even if it ignores SIGTERM', async () => {
    const stop = new AbortController()
    const pids: number[] = []
    const run = runProgram(
      '/bin/sh',
      ['-c', "trap '' TERM; sleep 1000 & echo $! >&2; echo $$ >&2; while :; do sleep 1000; done"],
      {
        env,
        signal: stop.signal,
        onErrorLine: (line) => {
          pids.push(Number(line))
          if (pids.length === 2) stop.abort(new Cancelled())
        },
      },
    )
    await expect(run).rejects.toBeInstanceOf(Cancelled)
    expect(pids).toHaveLength(2)
    // what was killed may still be on its way out
    while (pids.some(alive)) await new Promise((done) => setTimeout(done, 5))
  })

  test('is signalled no more once it has ended, though what it left holds its output open', async () => {
    const stop = new AbortController()
    const kill = jest.spyOn(process, 'kill')
    try {
      const run = runProgram('/bin/sh', ['-c', 'setsid sleep 1 & exit 0'], {
        env,
        signal: stop.signal,
      })
      // the one signal for what is left of its group, in the moment in which it is reaped
      while (kill.mock.calls.length === 0) await new Promise((done) => setTimeout(done, 5))
      stop.abort(new Cancelled())
      // what it left may have died with the group
      await run.catch(() => {})
      expect(kill.mock.calls.map(([, signal]) => signal)).toEqual(['SIGKILL'])
    } finally {
      kill.mockRestore()
    }
  })

  test('is ended at its deadline', async () => {
    const result = await runProgram('/bin/sleep', ['1000'], { env, deadline: 100 })
    expect(result).toMatchObject({ timedOut: true, killedBy: 'SIGTERM' })
  })
})
