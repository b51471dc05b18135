import { createHash, createHmac, randomUUID } from 'node:crypto'

/** A key of Alibaba Cloud, with the token of the role that was assumed if there is one. */
export interface Credentials {
  accessKeyId: string
  accessKeySecret: string
  securityToken?: string | undefined
}

export interface SignedRequest {
  host: string
  action: string
  version: string
  /** The body, form-encoded. */
  body: string
}

/**
 * The headers of a request to an RPC API of Alibaba Cloud, signed with ACS3-HMAC-SHA256. The algorithm, and the example that the
 * test holds this against: "V3 request structure and signature", https://www.alibabacloud.com/help/en/sdk/product-overview/v3-request-structure-and-signature
 *
 * Signed here and not by a library: `@alicloud/openapi-core` brings 36 packages of 27 MB for it, and `@alicloud/pop-core` signs with
 * SHA-1.
 *
 * @param query the query string in canonical form; '' where all parameters are in the body
 */
export function signedHeaders(
  request: SignedRequest,
  credentials: Credentials,
  { date = new Date(), nonce = randomUUID() as string, query = '' } = {},
): Record<string, string> {
  const headers: Record<string, string> = {
    host: request.host,
    'x-acs-action': request.action,
    'x-acs-content-sha256': sha256(request.body),
    'x-acs-date': `${date.toISOString().slice(0, 19)}Z`,
    'x-acs-signature-nonce': nonce,
    'x-acs-version': request.version,
    ...(request.body ? { 'content-type': 'application/x-www-form-urlencoded' } : {}),
    ...(credentials.securityToken ? { 'x-acs-security-token': credentials.securityToken } : {}),
  }
  const signature = signatureOf('POST', query, headers, credentials.accessKeySecret)
  const names = Object.keys(headers).sort().join(';')
  headers.authorization = `ACS3-HMAC-SHA256 Credential=${credentials.accessKeyId},SignedHeaders=${names},Signature=${signature}`
  return headers
}

/** The signature of a request whose headers (names in lower case) are all signed. */
export function signatureOf(
  method: string,
  query: string,
  headers: Record<string, string>,
  secret: string,
): string {
  const names = Object.keys(headers).sort()
  const canonical = [
    method,
    '/',
    query,
    ...names.map((name) => `${name}:${headers[name]?.trim()}`),
    '',
    names.join(';'),
    headers['x-acs-content-sha256'] ?? '',
  ].join('\n')
  return createHmac('sha256', secret)
    .update(`ACS3-HMAC-SHA256\n${sha256(canonical)}`)
    .digest('hex')
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
