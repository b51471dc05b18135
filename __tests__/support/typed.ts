import { execFileSync, spawnSync } from 'node:child_process'

/** What follows a page's commands with `age` on a terminal needs, where it is missing; undefined where all is there. */
export function missingForAge(): string | undefined {
  const missing = ['age', 'python3'].filter((name) => spawnSync(name, ['--version']).error)
  return missing.length === 0 ? undefined : `${missing.join(' and ')} not installed`
}

/** A terminal whose user types one line when he is asked for a passphrase. */
const terminal = `
import os, pty, sys
pid, fd = pty.fork()
if pid == 0: os.execvp('bash', ['bash', '-e', '-c', sys.argv[1]])
said, given = b'', False
while True:
    try: piece = os.read(fd, 1000)
    except OSError: break
    if not piece: break
    said += piece
    if not given and b'passphrase' in said:
        given = True
        os.write(fd, sys.argv[2].encode() + b'\\n')
sys.stdout.write(said.decode(errors='replace'))
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))`

/**
 * Runs lines of a page on a terminal, where `age` asks for a passphrase, and nowhere else.
 *
 * @returns what the terminal showed
 * @throws where a line failed
 */
export function typed(
  script: string,
  passphrase: string,
  options: { cwd: string; env?: Record<string, string> },
): string {
  return execFileSync('python3', ['-c', terminal, script, passphrase], {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    encoding: 'utf8',
  })
}
