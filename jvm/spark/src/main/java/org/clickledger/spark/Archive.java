package org.clickledger.spark;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/** What an archive's manifests say: only what they name exists. docs/formats/archive.md */
final class Archive {
    private static final String FOLDER = "manifest";
    private static final int FORMAT = 1;
    /** Digits of a manifest's number in its name. */
    private static final int DIGITS = 20;
    /** The field of a record that is a header. */
    private static final int HEADER = 14;
    private static final ObjectMapper JSON = new ObjectMapper();

    private final Path root;
    private final List<JsonNode> files = new ArrayList<>();
    private int partitions;
    private byte[] header;

    /** Reads all manifests, each of which names the hash of the one before. */
    Archive(String root, Configuration settings) throws IOException {
        this.root = new Path(root);
        FileSystem system = this.root.getFileSystem(settings);
        Map<Long, Map<Integer, Path>> found = new TreeMap<>();
        for (FileStatus status : system.listStatus(new Path(this.root, FOLDER))) {
            String name = status.getPath().getName().replace(".json", "");
            if (Character.isDigit(name.charAt(0))) {
                int revision = name.length() > DIGITS
                        ? Integer.parseInt(name.substring(DIGITS + 1)) : 0;
                long number = Long.parseLong(name.substring(0, DIGITS));
                found.computeIfAbsent(number, none -> new TreeMap<>())
                        .put(revision, status.getPath());
            }
        }
        String before = "";
        for (Map.Entry<Long, Map<Integer, Path>> entry : found.entrySet()) {
            before = add(system, entry.getKey(), entry.getValue(), before);
        }
        if (found.isEmpty()) {
            throw new IllegalArgumentException(root + " holds no manifest of an archive");
        }
    }

    /** Adds the files of a span as its newest revision has them; the hash of its manifest. */
    private String add(FileSystem system, long number, Map<Integer, Path> revisions, String before)
            throws IOException {
        List<JsonNode> all = new ArrayList<>();
        String first = "";
        String previous = before;
        for (Map.Entry<Integer, Path> entry : revisions.entrySet()) {
            Path path = entry.getValue();
            byte[] bytes;
            try (FSDataInputStream in = system.open(path)) {
                bytes = in.readAllBytes();
            }
            JsonNode told = JSON.readTree(bytes);
            boolean follows = told.path("previous").asText().equals(previous)
                    && told.path("number").asLong() == number
                    && told.path("format").asInt() == FORMAT;
            if (!follows || first.isEmpty() && entry.getKey() != 0) {
                throw new IllegalStateException(
                        path + " does not follow the one before it, by number, format and hash:"
                                + " `clickledger audit` says what is wrong with this archive");
            }
            previous = sha256(bytes);
            if (entry.getKey() == 0) {
                first = previous;
                partitions = told.path("ranges").size();
                header = header(told);
            }
            // A revision has all files of records, and none of verdicts.
            all.removeIf(Archive::isOfRecords);
            told.path("files").forEach(all::add);
        }
        files.addAll(all);
        return first;
    }

    private static String sha256(byte[] bytes) {
        try {
            return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes));
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }

    /** The first record of the log, which a topic has beside it. */
    private static byte[] header(JsonNode manifest) {
        Protobuf header = new Protobuf();
        header.bytes(1, HexFormat.of().parseHex(manifest.path("log_id").asText()));
        header.number(2, manifest.path("generation").asLong());
        header.number(3, manifest.path("ranges").size());
        Protobuf record = new Protobuf();
        record.bytes(HEADER, header.done());
        return record.done();
    }

    /** Payload of the record that says which log it is. */
    byte[] header() {
        return header;
    }

    /** Partitions of the log. */
    int partitions() {
        return partitions;
    }

    /** Files of records, in the log's order, cut where there are about so many records. */
    List<List<String>> slices(long most) {
        List<List<String>> slices = new ArrayList<>();
        long rows = most;
        for (JsonNode file : files) {
            if (!isOfRecords(file)) {
                continue;
            }
            if (rows >= most) {
                slices.add(new ArrayList<>());
                rows = 0;
            }
            slices.get(slices.size() - 1).add(path(file));
            rows += file.path("rows").asLong();
        }
        return slices;
    }

    /** Files of verdicts. */
    List<String> verdicts() {
        return files.stream().filter(file -> !isOfRecords(file)).map(this::path).toList();
    }

    private static boolean isOfRecords(JsonNode file) {
        return file.path("dataset").asText().equals("clicks");
    }

    private String path(JsonNode file) {
        return new Path(root, file.path("name").asText()).toString();
    }
}
