package com.gridsession.member;

/** Metrics as Prometheus reads them: text format 0.0.4, one family after another, each with its samples. */
final class Exposition {
    private static final String PREFIX = "gridsession_";

    private final StringBuilder text = new StringBuilder(32_768);
    private String name = "";

    /** Begins a family; {@code type} is counter, gauge or histogram, {@code help} one sentence. */
    Exposition family(String newName, String type, String help) {
        name = PREFIX + newName;
        text.append("# HELP ").append(name).append(' ').append(help).append("\n# TYPE ").append(name).append(' ')
                .append(type).append('\n');
        return this;
    }

    /** One sample of the family; {@code labels} are names and values by turns. */
    Exposition sample(double value, String... labels) {
        return suffixed("", value, labels);
    }

    /** As {@link #sample}, of the part of a histogram that is named so. */
    Exposition suffixed(String suffix, double value, String... labels) {
        text.append(name).append(suffix);
        for (int at = 0; at < labels.length; at += 2) {
            text.append(at == 0 ? '{' : ',').append(labels[at]).append("=\"");
            escape(labels[at + 1]);
            text.append('"');
        }
        text.append(labels.length > 0 ? "} " : " ");
        long whole = (long) value;
        if (whole == value) {
            text.append(whole);
        } else {
            text.append(value);
        }
        text.append('\n');
        return this;
    }

    private void escape(String value) {
        for (int at = 0; at < value.length(); at++) {
            char each = value.charAt(at);
            switch (each) {
                case '\\' -> text.append("\\\\");
                case '"' -> text.append("\\\"");
                case '\n' -> text.append("\\n");
                default -> text.append(each);
            }
        }
    }

    @Override
    public String toString() {
        return text.toString();
    }
}
