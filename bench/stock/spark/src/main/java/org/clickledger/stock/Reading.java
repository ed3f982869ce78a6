package org.clickledger.stock;

import java.util.Iterator;
import java.util.NoSuchElementException;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import scala.Tuple4;

/** Records of a batch's part of a partition as packed clicks. */
final class Reading implements MapPartitionsFunction<Tuple4<Integer, Long, Long, byte[]>, byte[]> {
    private static final long serialVersionUID = 1;

    @Override
    public Iterator<byte[]> call(Iterator<Tuple4<Integer, Long, Long, byte[]>> records) {
        // Of this task alone: what is done again must not remember that it was done.
        Decoder decoder = new Decoder();
        Packed packed = new Packed();
        return new Iterator<>() {
            private byte[] next;

            @Override
            public boolean hasNext() {
                while (next == null && records.hasNext()) {
                    Tuple4<Integer, Long, Long, byte[]> record = records.next();
                    Click click = decoder.decode(
                            record._1(), record._2(), record._3(), record._4());
                    if (click.ad.length() > 0) {
                        next = packed.pack(click);
                    }
                }
                return next != null;
            }

            @Override
            public byte[] next() {
                if (!hasNext()) {
                    throw new NoSuchElementException();
                }
                byte[] click = next;
                next = null;
                return click;
            }
        };
    }
}
