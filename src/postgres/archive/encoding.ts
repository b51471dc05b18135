import { isAscii } from 'node:buffer'

/** Bytes of a statement or name as text; not `exact` where the bytes have no text in the encoding. */
export type Decode = (bytes: Buffer) => { text: string; exact: boolean }

/**
 * How bytes of an encoding become text. What has no exact text (SQL_ASCII with bytes that are no UTF-8, an encoding that
 * this runtime does not know) is decoded as Latin-1 for people, and its statement is later sent as the bytes it was.
 */
export function decoder(encoding: string): Decode {
  const label = whatwgLabels[encoding.toUpperCase()]
  const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  const other = label ? new TextDecoder(label, { fatal: true, ignoreBOM: true }) : undefined
  const isLatin1 = encoding.toUpperCase() === 'LATIN1'
  return (bytes) => {
    if (isLatin1 || isAscii(bytes)) return { text: bytes.toString('latin1'), exact: true }
    try {
      if (other) return { text: other.decode(bytes), exact: true }
      if (/^(UTF8|SQL_ASCII)$/i.test(encoding)) return { text: utf8.decode(bytes), exact: true }
    } catch {
      // not what the encoding allows
    }
    return { text: bytes.toString('latin1'), exact: false }
  }
}

/** Encodings whose WHATWG namesakes give the same text (PostgreSQL, "Character Set Support"; WHATWG Encoding). */
const whatwgLabels: Record<string, string> = {
  LATIN2: 'iso-8859-2',
  LATIN3: 'iso-8859-3',
  LATIN4: 'iso-8859-4',
  LATIN6: 'iso-8859-10',
  LATIN7: 'iso-8859-13',
  LATIN8: 'iso-8859-14',
  LATIN9: 'iso-8859-15',
  LATIN10: 'iso-8859-16',
  ISO_8859_5: 'iso-8859-5',
  ISO_8859_6: 'iso-8859-6',
  ISO_8859_7: 'iso-8859-7',
  ISO_8859_8: 'iso-8859-8',
  WIN866: 'ibm866',
  WIN1250: 'windows-1250',
  WIN1251: 'windows-1251',
  WIN1252: 'windows-1252',
  WIN1253: 'windows-1253',
  WIN1254: 'windows-1254',
  WIN1255: 'windows-1255',
  WIN1256: 'windows-1256',
  WIN1257: 'windows-1257',
  WIN1258: 'windows-1258',
  KOI8R: 'koi8-r',
  KOI8U: 'koi8-u',
  EUC_JP: 'euc-jp',
  EUC_KR: 'euc-kr',
}
