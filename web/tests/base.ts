import AxeBuilder from '@axe-core/playwright';
import { expect, test as plain, type Page } from '@playwright/test';
import { Cabildo, seed, type Story } from './cabildo.ts';

interface Shared {
  /** A gateway with votes and a story, the same for all tests of a worker: they read, or add. */
  town: { cabildo: Cabildo; story: Story };
}

interface Own {
  /** A gateway of the test's own, empty. */
  own: Cabildo;
  /** What the browser may complain about: patterns. Anything else fails the test. */
  complaints: { allowed: RegExp[] };
  quiet: void;
}

/** Has a page sign in as an operator at whichever gateway it goes to first. */
export function asOperator(page: Page): Page {
  const go = page.goto.bind(page);
  let signedIn = false;
  page.goto = async (url, options) => {
    const token = Cabildo.tokens.get(new URL(url).origin);
    if (!signedIn && token !== undefined) {
      signedIn = true;
      await page.addInitScript((token) => sessionStorage.setItem('cabildo.token', token), token);
    }
    return go(url, options);
  };
  return page;
}

export const test = plain.extend<Own, Shared>({
  page: async ({ page }, use) => use(asOperator(page)),
  town: [
    async ({}, use) => {
      const cabildo = await Cabildo.start();
      try {
        await use({ cabildo, story: await seed(cabildo) });
      } finally {
        await cabildo.remove();
      }
    },
    { scope: 'worker', timeout: 120_000 },
  ],
  own: async ({}, use) => {
    const cabildo = await Cabildo.start();
    try {
      await use(cabildo);
    } finally {
      await cabildo.remove();
    }
  },
  complaints: [{ allowed: [] }, { option: true }],
  // No errors in the console: neither of the page nor of its content security policy.
  quiet: [
    async ({ context, complaints }, use) => {
      const said: string[] = [];
      context.on('console', (message) => {
        if (['error', 'warning'].includes(message.type())) said.push(`${message.text()} (${message.location().url})`);
      });
      context.on('weberror', (error) => said.push(String(error.error().stack)));
      await use();
      expect(said.filter((text) => !complaints.allowed.some((pattern) => pattern.test(text)))).toEqual([]);
    },
    { auto: true },
  ],
});

export { expect };

/** Waits until a search is done: its count stands above the histogram. */
export async function searched(page: Page): Promise<void> {
  await expect(page.locator('section[aria-busy]')).toHaveAttribute('aria-busy', 'false');
}

/** The rows of the list. */
export const rows = (page: Page) => page.getByRole('listbox').getByRole('option');

/** The event that is open. */
export const drawer = (page: Page) => page.getByRole('region', { name: /^(Event|Evento) \d+-\d+$/ });

export async function search(page: Page, query: string): Promise<void> {
  await page.getByRole('searchbox').fill(query);
  await page.getByRole('searchbox').press('Enter');
  await searched(page);
}

/** No violation of WCAG 2.2 A and AA, and of good practice. */
export async function accessible(page: Page): Promise<void> {
  const { violations } = await new AxeBuilder({ page }).analyze();
  expect(
    violations.map(
      ({ id, nodes }) => `${id}: ${nodes.map((node) => `${node.html} ${node.failureSummary}`).join(' | ')}`,
    ),
  ).toEqual([]);
}
