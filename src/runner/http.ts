/** One request, as the face of GitHub sends it: through the runner's proxies, without following redirects. */
export interface HttpRequest {
  method: 'GET' | 'POST' | 'DELETE'
  url: string
  headers: Record<string, string>
  body?: string
}

export interface HttpResponse {
  status: number
  /** Names in lower case. */
  headers: Record<string, string | undefined>
  body: string
}

/** @throws whatever the network does; an answer with any status is no error */
export type Send = (request: HttpRequest) => Promise<HttpResponse>

/** What of an answer is JSON; undefined for anything else, such as a proxy's page. */
export function parsedBody(response: HttpResponse): unknown {
  try {
    return JSON.parse(response.body) as unknown
  } catch {
    return undefined
  }
}
