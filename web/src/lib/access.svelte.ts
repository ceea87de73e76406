import { heard } from './api.ts';

/** Whether something was refused because of who is asking. */
class Access {
  denied = $state(false);

  constructor() {
    heard.denied = () => (this.denied = true);
  }
}

export const access = new Access();
