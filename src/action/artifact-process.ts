import { readdirSync, statSync, writeSync } from 'node:fs'
import { constants, setPriority } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import client from '@actions/artifact'
import type { ClientMessage, ClientRequest } from './artifact-client.ts'

/**
 * The program of a process of its own that makes one call of GitHub's artifact client: the request comes on stdin, answers
 * go out on stderr, one line of JSON each (see artifact-client.ts).
 */

// synchronous: nothing may be lost when the process ends
const send = (message: ClientMessage) => writeSync(2, `${JSON.stringify(message)}\n`)

/** Ends the process at once: an orderly exit of Node can wait for ever for a thread that waits for a garbage collection. */
const end = (): never => {
  process.kill(process.pid, 'SIGKILL')
  process.exit()
}

process.stdout.write = ((chunk: string | Uint8Array) => {
  const lines = String(chunk).split(/\r?\n/)
  for (const line of lines) {
    const bytes = /^Uploaded bytes (\d+)$/.exec(line)?.[1]
    if (bytes !== undefined) send({ bytes: Number(bytes) })
    else if (line) send({ line })
  }
  // the client would only warn about a file that has vanished, and go on without it
  if (lines.some((line) => /^::warning::.*during artifact zip creation/.test(line)))
    fail(new Error('a file vanished or could not be read'), 'PackingError')
  return true
}) as typeof process.stdout.write

// the client throws from an event handler when it cannot read a file
process.on('uncaughtException', (error) => {
  fail(error, /zip creation|file read/.test(error.message) ? 'PackingError' : error.name)
})

function fail(error: unknown, name?: string): void {
  const { message, status } = error as Error & { status?: unknown }
  send({
    error: {
      name: name ?? (error as Error).name ?? 'Error',
      message: String(message ?? error),
      ...(typeof status === 'number' ? { status } : {}),
    },
  })
  end()
}

async function answer(request: ClientRequest): Promise<unknown> {
  switch (request.call) {
    case 'upload':
      if (request.isGentle) giveWay()
      return client.uploadArtifact(request.name, request.files, request.directory, request.options)
    case 'list':
      return (await client.listArtifacts({ latest: true, ...request.options })).artifacts
    case 'get':
      return (await client.getArtifact(request.name, request.options)).artifact
    case 'delete':
      return deleteAll(request.artifacts)
    case 'download':
      watchDownload(request.options.path ?? '.')
      return client.downloadArtifact(request.id, request.options)
  }
}

/** Lets other processes have the processors first. Linux has a priority for each thread (setpriority(2)). */
function giveWay(): void {
  for (const thread of readdirSync('/proc/self/task')) {
    try {
      setPriority(Number(thread), constants.priority.PRIORITY_BELOW_NORMAL)
    } catch {
      // it has ended meanwhile
    }
  }
}

/** Deletes artifacts of this run, some at a time. @returns those that could not be deleted; one that is not there is none */
async function deleteAll(
  artifacts: readonly { name: string; digest: string }[],
): Promise<{ name: string; why: string }[]> {
  const left: { name: string; why: string }[] = []
  const waiting = [...artifacts]
  const work = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const { name, digest } = next
      try {
        // the client deletes whatever the service shows of the name, which may be an earlier attempt's
        const { artifact } = await client.getArtifact(name)
        if (artifact.digest === digest) await client.deleteArtifact(name)
      } catch (error) {
        const { name: kind, message } = error as Error
        if (kind !== 'ArtifactNotFoundError') left.push({ name, why: message })
      }
    }
  }
  await Promise.all(Array.from({ length: 8 }, work))
  return left
}

/** The client says nothing while it downloads. */
function watchDownload(directory: string): void {
  let before = 0
  setInterval(() => {
    const [file] = readdirSync(directory)
    const { size } = file === undefined ? { size: 0 } : statSync(join(directory, file))
    if (size !== before) send({ bytes: size })
    before = size
  }, 1000)
}

try {
  const request = JSON.parse(await text(process.stdin)) as ClientRequest
  const result = await answer(request)
  send({ result: result ?? null })
  end()
} catch (error) {
  fail(error)
}
