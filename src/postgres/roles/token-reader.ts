import type { Range, Token } from './tokens.ts'

/** Takes a statement's tokens one by one; what does not fit gives undefined and stays. */
export class TokenReader {
  private readonly tokens: Token[]
  private at = 0

  constructor(tokens: Token[]) {
    this.tokens = tokens
  }

  get atEnd(): boolean {
    return this.at === this.tokens.length
  }

  /** The offset after the token taken last. */
  get last(): number {
    return this.tokens[this.at - 1]?.end ?? 0
  }

  take(): Token | undefined {
    return this.tokens[this.at++]
  }

  /** Whether a key word is still to come. */
  has(word: string): boolean {
    return this.tokens.some(({ kind, value }, at) => {
      return at >= this.at && kind === 'word' && value === word
    })
  }

  word(...words: string[]): string | undefined {
    return this.next('word', (value) => words.includes(value))?.value
  }

  symbol(value: string): boolean {
    return this.next('symbol', (found) => found === value) !== undefined
  }

  meta(pattern: RegExp): boolean {
    return this.next('meta', (value) => pattern.test(value)) !== undefined
  }

  name(): string | undefined {
    return (this.next('name') ?? this.next('word'))?.value
  }

  /** A parameter's name: `work_mem`, `myapp.flag`, or the whole of it quoted. */
  dottedName(): string | undefined {
    let name = this.name()
    while (name !== undefined && this.symbol('.')) {
      const rest = this.name()
      name = rest === undefined ? undefined : `${name}.${rest}`
    }
    return name
  }

  number(): string | undefined {
    const sign = this.symbol('-') ? '-' : ''
    const digits = this.next('number', (value) => /^\d+$/.test(value))?.value
    return digits === undefined ? undefined : sign + digits
  }

  string(): Token | undefined {
    return this.next('string')
  }

  stringOrNull(): (Range & { value: string | null }) | undefined {
    const found = this.string() ?? this.next('word', (value) => value === 'null')
    if (!found) return undefined
    const { kind, value, start, end } = found
    return { value: kind === 'string' ? value : null, start, end }
  }

  /** The right side of SET: constants and names, separated by commas (old releases print lists unquoted). */
  values(): { values: string[]; literal: Range } | undefined {
    const values: string[] = []
    const { start } = this.tokens[this.at] ?? { start: 0 }
    do {
      if (this.word('default', 'from')) return undefined
      const found = this.string()?.value ?? this.number() ?? this.name()
      if (found === undefined) return undefined
      values.push(found)
    } while (this.symbol(','))
    return { values, literal: { start, end: this.last } }
  }

  private next(kind: Token['kind'], fits: (value: string) => boolean = () => true) {
    const token = this.tokens[this.at]
    if (token?.kind !== kind || !fits(token.value)) return undefined
    this.at++
    return token
  }
}
