import { HttpClient } from '@actions/http-client'
import type { Send } from '../runner/http.ts'

/**
 * Sends requests as actions do: through `https_proxy` and `http_proxy`, past `no_proxy`. Nothing is followed or sent again
 * here: a signature holds for one address and one moment.
 *
 * @param seconds without a byte, after which an answer is no longer waited for
 */
export function httpSender(seconds: number): Send {
  const client = new HttpClient('migrate-to-polardb', [], {
    allowRedirects: false,
    allowRetries: false,
    socketTimeout: seconds * 1000,
  })
  return async ({ method, url, headers, body }) => {
    const { message, readBody } = await client
      .request(method, url, body ?? null, headers)
      .then((response) => ({
        message: response.message,
        readBody: () => response.readBody(),
      }))
    const names = Object.entries(message.headers).map(([name, value]) => [name, String(value)])
    return {
      status: message.statusCode ?? 0,
      headers: Object.fromEntries(names) as Record<string, string>,
      body: await readBody(),
    }
  }
}
