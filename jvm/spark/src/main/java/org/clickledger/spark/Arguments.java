package org.clickledger.spark;

import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;

/** Arguments of the form {@code --name value}. */
final class Arguments {
    private static final String KAFKA = "kafka.";

    private final Map<String, String> given = new TreeMap<>();

    /** @param known the names that there are, and {@code --kafka.NAME} */
    Arguments(String[] arguments, Set<String> known) {
        for (int next = 0; next < arguments.length; next += 2) {
            String name = arguments[next].replaceFirst("^--", "");
            boolean isName = arguments[next].startsWith("--")
                    && (known.contains(name) || name.startsWith(KAFKA));
            if (!isName || next + 1 == arguments.length) {
                throw new IllegalArgumentException(
                        arguments[next] + (isName ? " has no value" : " is not known")
                                + "; there are: --" + String.join(" --", new TreeSet<>(known))
                                + " --kafka.NAME, each with a value");
            }
            given.put(name, arguments[next + 1]);
        }
    }

    boolean has(String name) {
        return given.containsKey(name);
    }

    String required(String name) {
        if (!has(name)) {
            throw new IllegalArgumentException("--" + name + " is needed");
        }
        return given.get(name);
    }

    /** A number from 1 to {@code most}. */
    int number(String name, int without, int most) {
        return (int) number(name, without, 1, most);
    }

    /** A number from {@code least} to {@code most}. */
    long number(String name, long without, long least, long most) {
        if (!has(name)) {
            return without;
        }
        try {
            long number = Long.parseLong(given.get(name));
            if (least <= number && number <= most) {
                return number;
            }
        } catch (NumberFormatException e) {
            // Told below.
        }
        throw new IllegalArgumentException(
                "--" + name + " " + given.get(name) + ": a number from " + least + " to " + most);
    }

    boolean isSet(String name, boolean without) {
        String value = given.getOrDefault(name, String.valueOf(without));
        if (!Set.of("true", "false").contains(value)) {
            throw new IllegalArgumentException("--" + name + " " + value + ": true or false");
        }
        return value.equals("true");
    }

    /** {@code bootstrap.servers} and all of {@code --kafka.NAME}. */
    Properties client() {
        Properties client = new Properties();
        given.forEach((name, value) -> {
            if (name.startsWith(KAFKA)) {
                client.put(name.substring(KAFKA.length()), value);
            }
        });
        client.put("bootstrap.servers", required("bootstrap"));
        return client;
    }
}
