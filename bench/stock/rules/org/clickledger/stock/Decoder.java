package org.clickledger.stock;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;

/**
 * Reads the fields of a record that are needed from the wire, without objects for the others; gives
 * it its fold time; drops what the same sender has sent before; judges what needs no state. Ticks
 * and the like become clicks without an ad. Keeps what it knows of partitions and senders in memory
 * alone, which is less than the rules ask for.
 */
final class Decoder {
    private static final long SKEW = 300_000;
    private static final long LIFETIME = 86_400_000;
    private static final long SPOOL = 3 * 86_400_000L;

    private final Map<Integer, Long> foldTimes = new HashMap<>();
    private final Map<Bytes, Long> senders = new HashMap<>();

    Click decode(int partition, long offset, long appended, byte[] value) {
        Wire wire = new Wire(value);
        Click click = new Click();
        click.partition = partition;
        click.offset = offset;
        long sentAt = -1;
        long epoch = 0;
        long seq = 0;
        Bytes tracker = Bytes.NONE;
        while (wire.next()) {
            switch (wire.field) {
                case 1 -> sentAt = wire.number;
                case 2 -> tracker = wire.bytes();
                case 3 -> epoch = wire.number;
                case 4 -> seq = wire.number;
                case 10 -> read(wire.nested(), click);
                default -> { }
            }
        }
        long capped = sentAt >= 0 ? Math.min(appended, sentAt + SKEW) : appended;
        click.foldTime = foldTimes.merge(partition, capped, Math::max);
        if (click.ad.length() > 0 && tracker.length() > 0 && !isNew(click, tracker, epoch, seq)) {
            click.ad = Bytes.NONE;
        }
        judge(click);
        return click;
    }

    private boolean isNew(Click click, Bytes tracker, long epoch, long seq) {
        byte[] sender = Arrays.copyOf(tracker.get(), tracker.length() + 12);
        ByteBuffer.wrap(sender, tracker.length(), 12)
                .putInt(click.partition).putLong(epoch);
        Bytes key = new Bytes(sender);
        Long last = senders.get(key);
        if (last != null && last >= seq) {
            return false;
        }
        senders.put(key, seq);
        return true;
    }

    private String method = "";
    private String purpose = "";
    private long expiresAt = -1;
    private boolean active = true;

    private void read(Wire wire, Click click) {
        method = "";
        purpose = "";
        expiresAt = -1;
        active = true;
        while (wire.next()) {
            switch (wire.field) {
                case 1 -> click.clickId = wire.bytes();
                case 3 -> click.issuer = wire.bytes();
                case 4 -> click.userId = wire.bytes();
                case 6 -> click.ad = wire.bytes();
                case 7 -> click.campaign = wire.bytes();
                case 8 -> click.advertiser = wire.bytes();
                case 9 -> click.publisher = wire.bytes();
                case 10 -> click.placement = wire.bytes();
                case 12 -> click.price = wire.number;
                case 13 -> click.currency = wire.bytes();
                case 14 -> click.payout = wire.number;
                case 17 -> click.receivedAt = wire.number;
                case 20 -> method = wire.is("GET") ? "GET" : text(wire);
                case 21 -> purpose = text(wire);
                case 22 -> click.ip = source(wire.bytes());
                case 30 -> expiresAt = wire.number;
                case 31 -> active = wire.number != 0;
                default -> { }
            }
        }
    }

    /** Of an IPv6 address its /64; one that is not known is no source. */
    private static Bytes source(Bytes ip) {
        return ip.length() == 16 ? new Bytes(Arrays.copyOf(ip.get(), 8)) : ip;
    }

    private static String text(Wire wire) {
        return new String(wire.bytes().get(), StandardCharsets.UTF_8).toUpperCase();
    }

    private void judge(Click click) {
        if (click.ad.length() == 0) {
            return;
        }
        boolean tooLong = expiresAt >= 0 && expiresAt - click.clickTime() > LIFETIME + SKEW;
        if (expiresAt >= 0 && click.receivedAt > expiresAt || tooLong) {
            click.verdict = Click.T2;
        } else if (!active) {
            click.verdict = Click.T3;
        } else if (click.foldTime - click.receivedAt > SPOOL) {
            click.verdict = Click.T4;
        } else if (!method.isEmpty() && !method.equals("GET") && !method.equals("POST")) {
            click.verdict = Click.G8;
        } else if (purpose.contains("PREFETCH") || purpose.contains("PRERENDER")
                || purpose.contains("PREVIEW")) {
            click.verdict = Click.G5;
        }
    }
}
