import { test as plain } from '@playwright/test';
import { expect, searched, test } from './base.ts';
import { Cabildo } from './cabildo.ts';

test('the link that is printed signs an operator in, and the address does not keep the token', async ({
  own,
  browser,
}) => {
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(`${own.url}/#token=${own.token}`);
  await searched(page);
  await expect(page).not.toHaveURL(/token/);
  await expect(page.getByText('Sign in as an operator.')).toHaveCount(0);
  // Also after the page is loaded anew.
  await page.reload();
  await searched(page);
  await context.close();
});

plain('who is no operator is told how to become one, and a token that is over is forgotten', async ({ page }) => {
  const cabildo = await Cabildo.start();
  try {
    await page.goto(`${cabildo.url}/record`);
    await expect(page.getByText('Sign in as an operator.')).toBeVisible();
    await page.goto(`${cabildo.url}/live#token=x.y.z`);
    await expect(page.getByText('Sign in as an operator.')).toBeVisible();
    expect(await page.evaluate(() => sessionStorage.length)).toBe(0);
  } finally {
    await cabildo.remove();
  }
});
