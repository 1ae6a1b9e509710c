package com.gridsession.member;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.stream.Stream;

/** The cases in {@code tests/vectors} that keep the Java rules equal to the Python rules. */
final class Vectors {
    /** One command on one record. {@code after} is hex, or null for no record; "same" is replaced by the record. */
    record Case(String name, String sessionId, byte[] record, byte[] command, long now, Limits limits, String reply,
            String after) {
        @Override
        public String toString() {
            return name;
        }
    }

    private Vectors() {
    }

    static List<Case> load() throws IOException {
        Path folder = Path.of(System.getProperty("gridsession.vectors", "../../tests/vectors"));
        List<Path> files;
        try (Stream<Path> listed = Files.list(folder)) {
            files = listed.filter(path -> path.toString().endsWith(".json")).sorted().toList();
        }
        List<Case> cases = new ArrayList<>();
        for (Path file : files) {
            String group = file.getFileName().toString().replace(".json", "");
            for (JsonNode node : new ObjectMapper().readTree(file.toFile()).required("cases")) {
                cases.add(read(group, node));
            }
        }
        if (cases.isEmpty()) {
            throw new IllegalStateException("no cases in " + folder.toAbsolutePath());
        }
        return cases;
    }

    static byte[] bytes(String hex) {
        return HexFormat.of().parseHex(hex);
    }

    static String hex(byte[] bytes) {
        return bytes == null ? null : HexFormat.of().formatHex(bytes);
    }

    private static Case read(String group, JsonNode node) {
        String record = text(node.required("record"));
        String after = text(node.required("after"));
        return new Case(
                group + ": " + node.required("name").asText(),
                node.required("session_id").asText(),
                record == null ? null : bytes(record),
                bytes(node.required("command").asText()),
                node.required("now").asLong(),
                limits(node.path("limits")),
                node.required("reply").asText(),
                "same".equals(after) ? record : after);
    }

    private static String text(JsonNode node) {
        return node.isNull() ? null : node.asText();
    }

    private static Limits limits(JsonNode node) {
        Limits usual = Limits.DEFAULT;
        node.fieldNames().forEachRemaining(name -> {
            if (!List.of("record_bytes", "fields", "name_bytes", "id_bytes", "ring", "waiters", "horizon",
                    "operations").contains(name)) {
                throw new IllegalStateException("unknown limit " + name);
            }
        });
        return new Limits(
                node.path("record_bytes").asInt(usual.recordBytes()),
                node.path("fields").asInt(usual.fields()),
                node.path("name_bytes").asInt(usual.nameBytes()),
                node.path("id_bytes").asInt(usual.idBytes()),
                node.path("ring").asInt(usual.ring()),
                node.path("waiters").asInt(usual.waiters()),
                node.path("horizon").asLong(usual.horizon()),
                node.path("operations").asInt(usual.operations()));
    }
}
