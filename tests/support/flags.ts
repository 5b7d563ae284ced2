/**
 * Reads the whole number that a flag was given.
 * @throws {Error} what is allowed, and how the command is used
 */
export function wholeNumber(flag: string, text: string, max: number, usage: string): number {
  const value = Number(text)
  if (/^\d{1,6}$/.test(text) && value >= 1 && value <= max) return value
  throw new Error(`--${flag} must be a whole number from 1 to ${max}, not "${text}"\n${usage}`)
}
