import { readdirSync, statSync, writeSync } from 'node:fs'
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
      return client.uploadArtifact(request.name, request.files, request.directory, request.options)
    case 'list':
      return (await client.listArtifacts({ latest: true, ...request.options })).artifacts
    case 'get':
      return (await client.getArtifact(request.name, request.options)).artifact
    case 'download':
      watchDownload(request.options.path ?? '.')
      return client.downloadArtifact(request.id, request.options)
  }
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
