import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** The paths of what was made, all of them PEM. */
export interface Certificates {
  ca: string
  key: string
  certificate: string
}

/** Makes a CA and, signed by it, a certificate for these names and addresses, as files of a directory; by openssl, for two days. */
export async function makeCertificates(
  directory: string,
  hosts: string[] = ['localhost', '127.0.0.1'],
): Promise<Certificates> {
  const path = (name: string) => join(directory, name)
  const names = hosts.map((host) => `${/^[\d.:]+$/.test(host) ? 'IP' : 'DNS'}:${host}`)
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  await writeFile(path('extensions'), `subjectAltName=${names.join(',')}\n`)
  await run('openssl', [
    ...['req', '-x509', ...key, '-days', '2', '-subj', '/CN=Test CA'],
    ...['-keyout', path('ca.key'), '-out', path('ca.crt')],
  ])
  await run('openssl', [
    ...['req', ...key, '-subj', `/CN=${hosts[0]}`],
    ...['-keyout', path('server.key'), '-out', path('server.csr')],
  ])
  await run('openssl', [
    ...['x509', '-req', '-in', path('server.csr'), '-days', '2', '-CAcreateserial'],
    ...['-CA', path('ca.crt'), '-CAkey', path('ca.key')],
    ...['-extfile', path('extensions'), '-out', path('server.crt')],
  ])
  return { ca: path('ca.crt'), key: path('server.key'), certificate: path('server.crt') }
}
