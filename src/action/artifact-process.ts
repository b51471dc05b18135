import { writeSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import client from '@actions/artifact'
import type { ClientMessage, ClientRequest } from './artifact-client.ts'

/**
 * The program of a process of its own that makes one call of GitHub's artifact client: the request comes on stdin, answers
 * go out on stderr, one line of JSON each (see artifact-client.ts).
 */

// synchronous: nothing may be lost when the process ends
const send = (message: ClientMessage) => writeSync(2, `${JSON.stringify(message)}\n`)

process.stdout.write = ((chunk: string | Uint8Array) => {
  const lines = String(chunk).split(/\r?\n/)
  for (const line of lines) if (line) send({ line })
  // the client would only warn about a file that has vanished, and go on without it
  if (lines.some((line) => /^::warning::.*during artifact zip creation/.test(line)))
    fail(new Error('a file vanished or could not be read'), 'PackingError')
  return true
}) as typeof process.stdout.write

// the client throws from an event handler when it cannot read a file
process.on('uncaughtException', (error) => {
  fail(error, /zip creation|file read/.test(error.message) ? 'PackingError' : error.name)
})

function fail(error: unknown, name?: string): never {
  const { message, status } = error as Error & { status?: unknown }
  send({
    error: {
      name: name ?? (error as Error).name ?? 'Error',
      message: String(message ?? error),
      ...(typeof status === 'number' ? { status } : {}),
    },
  })
  process.exit(1)
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
      return client.downloadArtifact(request.id, request.options)
  }
}

try {
  const request = JSON.parse(await text(process.stdin)) as ClientRequest
  const result = await answer(request)
  send({ result: result ?? null })
  process.exit(0)
} catch (error) {
  fail(error)
}
