import { drawer, expect, rows, searched, test } from './base.ts';

test('everything by the keyboard', async ({ page, town: { cabildo, story } }) => {
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  await page.goto(`${cabildo.url}/record?from=all`);
  await searched(page);
  await page.keyboard.press('Tab');
  await expect(page.getByRole('link', { name: 'Skip to the content' })).toBeFocused();

  await page.keyboard.press('?');
  const help = page.getByRole('dialog', { name: 'Keys and search language' });
  await expect(help).toBeVisible();
  await page.keyboard.press('Escape');
  await expect(help).toHaveCount(0);

  await page.keyboard.press('/');
  await expect(page.getByRole('searchbox')).toBeFocused();
  // Letters are letters while somebody writes.
  await page.keyboard.type('room:lobby jk');
  await expect(page.getByRole('searchbox')).toHaveValue('room:lobby jk');
  await page.getByRole('searchbox').fill('room:lobby');
  await page.keyboard.press('Enter');
  await searched(page);
  await expect(rows(page).filter({ hasText: 'chat.room.opened' })).toBeVisible();

  // Through the list, into the event, on to the next with the drawer open, and back to where one was.
  await page.getByRole('listbox').focus();
  const chosen = () => page.getByRole('listbox').getAttribute('aria-activedescendant');
  await page.keyboard.press('j');
  await expect.poll(chosen).toBe(`event-${story.correction}`);
  await page.keyboard.press('j');
  await expect.poll(chosen).toBe(`event-${story.answer}`);
  await page.keyboard.press('k');
  await expect.poll(chosen).toBe(`event-${story.correction}`);
  await page.keyboard.press('Enter');
  await expect(drawer(page)).toContainText('domingo');
  await expect(drawer(page).getByRole('heading')).toBeFocused();
  await page.keyboard.press('j');
  await expect(drawer(page)).toContainText('sábado');
  await page.keyboard.press('x');
  await expect(drawer(page).getByRole('tab', { name: 'Context' })).toHaveAttribute('aria-selected', 'true');
  await page.keyboard.press('c');
  await expect(page.getByText('The event is on the clipboard')).toBeVisible();
  await page.keyboard.press('l');
  await expect(page.getByText('The link is on the clipboard')).toBeVisible();
  expect(await page.evaluate(() => navigator.clipboard.readText())).toContain(`event=${story.answer}`);
  await drawer(page).getByRole('tab', { name: 'Context' }).focus();
  await page.keyboard.press('ArrowRight');
  await expect(drawer(page).getByRole('tab', { name: 'Raw' })).toBeFocused();
  await page.keyboard.press('Escape');
  await expect(drawer(page)).toHaveCount(0);
  await expect(page.getByRole('listbox')).toBeFocused();

  await page.keyboard.press('Shift+G');
  await expect(rows(page).filter({ hasText: 'chat.room.opened' })).toHaveAttribute('aria-selected', 'true');
  await page.keyboard.press('g');
  await expect.poll(chosen).toBe(`event-${story.correction}`);
  await page.keyboard.press('Space');
  await expect(page).toHaveURL(/live=1/);
});

test('the oldest event is one key away, however many there are', async ({ page, town: { cabildo } }) => {
  await page.goto(`${cabildo.url}/record?from=all`);
  await searched(page);
  await page.keyboard.press('Shift+G');
  const oldest = rows(page).filter({ hasText: 'poll.opened' });
  await expect(oldest).toBeVisible();
  await expect(oldest).toHaveAttribute('aria-selected', 'true');
  await expect(page.getByText('That is where the record begins')).toBeVisible();
  await page.keyboard.press('g');
  await expect(rows(page).first()).toContainText('chat.message.edited');
});
