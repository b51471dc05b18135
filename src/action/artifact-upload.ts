import { join } from 'node:path'
import type { StoredArtifact, UploadRequest } from '../migration/kept/artifact-store.ts'
import { callClient, type Environment, type Listener } from './artifact-client.ts'

/** Of the client's blocks at once, where it is to leave the network to others; by itself it sends five. */
const fewConnections = { ACTIONS_ARTIFACT_UPLOAD_CONCURRENCY: '2' }

/** What is known of an upload that may have failed. */
export interface Attempt {
  /** The service has given the name away. */
  created: boolean
  /** Of all that was sent. */
  digest: string | null
}

export interface AttemptOptions extends Listener {
  environment: Environment
  signal: AbortSignal
  patience: number
  /** The service has given the name away. */
  onCreated: (name: string) => void
  /** The service has all of it, and may show it from now on. */
  onSent: (name: string, digest: string) => void
}

/**
 * Tries once to upload files under a name.
 *
 * @param attempt is told what has become of it, also where it fails
 * @throws ClientError; Cancelled
 */
export async function attemptUpload(
  request: UploadRequest,
  name: string,
  attempt: Attempt,
  { environment, signal, patience, onLine, onBytes, onCreated, onSent }: AttemptOptions,
): Promise<StoredArtifact> {
  const { directory, retentionDays, isGentle = false } = request
  const files = request.files.map((file) => join(directory, file))
  const options = {
    compressionLevel: request.compressed ? 0 : 6,
    ...(retentionDays === undefined ? {} : { retentionDays }),
  }
  const hear = (line: string) => {
    onLine(line)
    if (line.startsWith('Uploading artifact: ')) {
      attempt.created = true
      onCreated(name)
    }
    const digest = /^SHA256 digest of uploaded artifact is ([0-9a-f]{64})$/.exec(line)?.[1]
    if (!digest) return
    attempt.digest = `sha256:${digest}`
    onSent(name, attempt.digest)
  }
  const { id, size } = await callClient(
    { call: 'upload', name, files, directory, options, isGentle },
    isGentle ? { ...fewConnections, ...environment } : environment,
    { onLine: hear, onBytes },
    signal,
    patience,
  )
  if (id === undefined) throw new Error('the service gave the artifact no id')
  return { id, name, digest: attempt.digest, bytes: size ?? 0 }
}
