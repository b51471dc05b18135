import { describe, expect, test } from '@jest/globals'
import { aptProblem, dnfProblem } from '../../src/postgres/programs/clients/problems.ts'

const apt: [string, string, string][] = [
  [
    'untrusted',
    "W: GPG error: http://m x-pgdg InRelease: The following signatures couldn't be verified because the public key is not available: NO_PUBKEY 7FCC7D46ACCC4CF8\nE: The repository 'http://m x-pgdg InRelease' is not signed.",
    'NO_PUBKEY',
  ],
  [
    'untrusted',
    'W: An error occurred during the signature verification. The repository is not updated and the previous index files will be used. GPG error: http://m x-pgdg InRelease: The following signatures were invalid: EXPKEYSIG 1F16D2E1442DF0F8',
    'EXPKEYSIG',
  ],
  ['untrusted', "E: The repository 'http://m x-pgdg Release' is not signed.", 'not signed'],
  [
    'untrusted',
    'E: Failed to fetch http://m/pool/p.deb  File has unexpected size (10 != 12). Mirror sync in progress? [IP: 127.0.0.1 80]',
    'unexpected size',
  ],
  ['untrusted', 'E: Failed to fetch http://m/Packages  Hash Sum mismatch', 'Hash Sum mismatch'],
  [
    'absent',
    "E: The repository 'http://m x-pgdg Release' does not have a Release file.",
    'Release file',
  ],
  [
    'unreachable',
    "W: Failed to fetch http://m/dists/x-pgdg/InRelease  Could not resolve 'm'\nW: Some index files failed to download. They have been ignored, or old ones used instead.",
    "Could not resolve 'm'",
  ],
  [
    'unreachable',
    'W: Failed to fetch http://m/dists/x-pgdg/InRelease  Could not connect to m:80 (10.0.0.1), connection timed out',
    'timed out',
  ],
  ['failed', 'E: Write error - write (28: No space left on device)', 'No space left'],
  ['failed', 'Segmentation fault', 'Segmentation fault'],
]

const dnf: [string, string, string][] = [
  [
    'absent',
    "Errors during downloading metadata for repository 'postgresql':\n  - Status code: 404 for http://m/repodata/repomd.xml (IP: 127.0.0.1)\nError: Failed to download metadata for repo 'postgresql': Cannot download repomd.xml: Cannot download repodata/repomd.xml: All mirrors were tried",
    'Status code: 404',
  ],
  ['absent', 'No package postgresql14 available.\nError: No packages downloaded', 'postgresql14'],
  [
    'unreachable',
    "Errors during downloading metadata for repository 'postgresql':\n  - Curl error (28): Timeout was reached for http://m/repodata/repomd.xml",
    'Timeout was reached',
  ],
  [
    'untrusted',
    'Importing GPG key 0x08B40D20:\n Userid     : "x"\nError: Failed to download metadata for repo \'postgresql\': repomd.xml GPG signature verification error: Bad GPG signature',
    'Bad GPG signature',
  ],
  [
    'untrusted',
    "Error: Failed to download metadata for repo 'postgresql': GPG verification is enabled, but GPG signature is not available. This may be an error or the repository does not support GPG verification: Status code: 404 for http://m/repodata/repomd.xml.asc",
    'signature is not available',
  ],
  [
    'untrusted',
    "[MIRROR] p.rpm: Downloading successful, but checksum doesn't match. Calculated: 1(sha256)  Expected: 2(sha256)\nError: Error downloading packages:\n  Cannot download p.rpm: All mirrors were tried",
    "checksum doesn't match",
  ],
  ['failed', '', 'nothing'],
]

describe("a package tool's message", () => {
  test.each(apt)('of apt means %s: %j', (kind, stderr, why) => {
    expect(aptProblem(stderr)).toEqual({ kind, why: expect.stringContaining(why) })
  })

  test.each(dnf)('of dnf means %s: %j', (kind, output, why) => {
    expect(dnfProblem(output)).toEqual({ kind, why: expect.stringContaining(why) })
  })

  test('loses the user and password of a URL', () => {
    const said = "E: Failed to fetch http://me:s3cret@m/x  Could not resolve 'm'"
    expect(aptProblem(said).why).toBe("Failed to fetch http://m/x  Could not resolve 'm'")
    expect(dnfProblem('Curl error (7) for https://me:s3cret@m/x').why).not.toContain('s3cret')
  })
})
