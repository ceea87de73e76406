import { asOperator, drawer, expect, rows, search, searched, test } from './base.ts';

test('one finds an event by its text, follows its cause, sees the state before and after, and shares it', async ({
  page,
  town: { cabildo, story },
  browser,
}) => {
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  await page.goto(`${cabildo.url}/`);
  await searched(page);
  await search(page, '"traigo el domingo"');
  await expect(rows(page)).toHaveCount(1);
  await rows(page).first().click();
  await expect(drawer(page)).toContainText('chat.message.edited');
  await expect(drawer(page)).toContainText('Yo la traigo el domingo');

  // Causes above, effects below: the correction came of the answer, the answer of the question.
  await drawer(page).getByRole('tab', { name: 'Causes & effects' }).click();
  const nodes = drawer(page).getByRole('listitem').getByRole('button');
  await expect(nodes).toHaveCount(3);
  await expect(drawer(page).getByRole('button', { name: /this event/ })).toContainText('chat.message.edited');
  await drawer(page)
    .getByRole('button', { name: new RegExp(`posted ${story.answer}\\b`) })
    .click();
  await expect(page).toHaveURL(new RegExp(`event=${story.answer}\\b`));
  await expect(drawer(page).getByRole('button', { name: /this event/ })).toContainText('chat.message.posted');

  // And back again, to what the correction did to the message.
  await page.goBack();
  await expect(page).toHaveURL(new RegExp(`event=${story.correction}\\b`));
  await drawer(page).getByRole('tab', { name: 'Before & after' }).click();
  await expect(drawer(page).locator('del').filter({ hasText: 'sábado' })).toBeVisible();
  await expect(drawer(page).locator('ins').filter({ hasText: 'domingo' })).toBeVisible();

  await drawer(page).getByRole('button', { name: 'Copy link' }).click();
  await expect(page.getByText('The link is on the clipboard')).toBeVisible();
  const link = await page.evaluate(() => navigator.clipboard.readText());
  expect(link).toContain(cabildo.url);

  // Somebody else, elsewhere, in another language, sees the same.
  const other = await browser.newContext({ locale: 'es-GT' });
  const theirs = asOperator(await other.newPage());
  await theirs.goto(link);
  await expect(theirs.getByRole('searchbox')).toHaveValue('"traigo el domingo"');
  await expect(rows(theirs)).toHaveCount(1);
  await expect(drawer(theirs).getByRole('tab', { name: 'Antes y después' })).toHaveAttribute('aria-selected', 'true');
  await expect(drawer(theirs).locator('ins').filter({ hasText: 'domingo' })).toBeVisible();
  await other.close();
});
