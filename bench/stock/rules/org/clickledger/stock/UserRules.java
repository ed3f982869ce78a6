package org.clickledger.stock;

import java.util.Arrays;

/** Duplicates and double clicks of one user, whose clicks come in the order of the log. */
final class UserRules {
    static final long HORIZON = 86_400_000L + 3 * 86_400_000L + 300_000;
    private static final long DOUBLE_MS = 30_000;
    private static final long DOUBLE_AGE_MS = 600_000;

    private UserRules() {}

    /** Judges a click that is valid so far; the state from now on, null where it stays. */
    static UserState judge(Click click, UserState before) {
        Bytes claim = claim(click);
        long claimed = before.claimed(claim);
        if (claimed >= 0 && click.foldTime - claimed <= HORIZON) {
            click.verdict = Click.D1;
            return null;
        }
        UserState state = before.claim(claim, click.foldTime, HORIZON);
        if (click.userId.length() > 0) {
            int last = state.find(click.ad);
            boolean isDouble = last >= 0
                    && Math.abs(click.clickTime() - state.clicks[2 * last]) <= DOUBLE_MS
                    && click.foldTime - state.clicks[2 * last + 1] <= DOUBLE_AGE_MS;
            if (isDouble) {
                click.verdict = Click.D2;
            } else {
                state.note(click.ad, click.clickTime(), click.foldTime, DOUBLE_AGE_MS);
            }
        }
        return state;
    }

    private static Bytes claim(Click click) {
        byte[] issuer = click.issuer.get();
        byte[] id = click.clickId.get();
        byte[] claim = Arrays.copyOf(issuer, issuer.length + id.length + 1);
        claim[issuer.length] = (byte) (click.userId.length() == 0 ? 1 : 0);
        System.arraycopy(id, 0, claim, issuer.length + 1, id.length);
        return new Bytes(claim);
    }
}
