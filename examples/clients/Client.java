// Pillion's local API from Java (11 or later), with its standard library alone. Run it under Pillion: pillion run -- java Client.java

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

public class Client {
    static final String SERVER = System.getenv("PILLION_URL");
    static final String TOKEN = System.getenv("PILLION_TOKEN");
    static final String KEY = "/v1/config/clients/visits";
    static final String SERVICE = "/v1/services/printer";
    static final HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();

    static HttpRequest request(String method, String path, String body, String... fields) {
        HttpRequest.Builder builder = HttpRequest.newBuilder(URI.create(SERVER + path))
            .timeout(Duration.ofSeconds(30))
            .header("Authorization", "Bearer " + TOKEN)
            .method(method, body == null ? BodyPublishers.noBody() : BodyPublishers.ofString(body));
        for (int i = 0; i < fields.length; i += 2) builder.header(fields[i], fields[i + 1]);
        return builder.build();
    }

    static HttpResponse<String> ask(String method, String path, String body, String... fields)
            throws IOException, InterruptedException {
        return client.send(request(method, path, body, fields), BodyHandlers.ofString());
    }

    static HttpResponse<String> put(String path, String body, String... fields) throws IOException, InterruptedException {
        String[] all = new String[fields.length + 2];
        all[0] = "Content-Type";
        all[1] = "application/json";
        System.arraycopy(fields, 0, all, 2, fields.length);
        return ask("PUT", path, body, all);
    }

    static <T> HttpResponse<T> expect(HttpResponse<T> answer, Integer... wanted) {
        if (!List.of(wanted).contains(answer.statusCode()))
            throw new IllegalStateException("unexpected status " + answer.statusCode());
        return answer;
    }

    static String tag(HttpResponse<String> answer) {
        return answer.headers().firstValue("ETag").orElseThrow();
    }

    // Good for small objects: Java brings no JSON along.
    static String member(String text, String name) {
        Matcher found = Pattern.compile("\"" + name + "\":\\s*\"?([^\",}]*)").matcher(text);
        if (!found.find()) throw new IllegalStateException("no " + name + " in " + text);
        return found.group(1);
    }

    // Writes the next number, if nobody has written since `tag`; reads again and tries again if somebody has.
    static String writeNext(String tag) throws IOException, InterruptedException {
        while (true) {
            HttpResponse<String> now = expect(ask("GET", KEY, null), 200);
            int number = Integer.parseInt(member(now.body(), "value")) + 1;
            HttpResponse<String> written = put(KEY, "{\"value\": " + number + "}", "If-Match", tag);
            if (written.statusCode() != 412) {
                expect(written, 200);
                System.out.println("write: " + number);
                return tag(written);
            }
            System.out.println("write: somebody was faster, again");
            tag = tag(now);
        }
    }

    // Server-sent events: what is there first, then `current`, then every change.
    static void watch(String newest) throws IOException, InterruptedException {
        HttpRequest request = request("GET", "/v1/config?prefix=clients/", null, "Accept", "text/event-stream");
        HttpResponse<InputStream> stream = expect(client.send(request, BodyHandlers.ofInputStream()), 200);
        try (BufferedReader lines = new BufferedReader(new InputStreamReader(stream.body(), StandardCharsets.UTF_8))) {
            String event = "";
            boolean current = false;
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                if (line.startsWith("event: ")) {
                    event = line.substring(7);
                    if (event.equals("current")) {
                        current = true;
                        writeNext(newest);
                    }
                } else if (line.startsWith("data: ") && current && event.equals("put")) {
                    System.out.println("watch: " + member(line, "value"));
                    return;
                }
            }
        }
    }

    public static void main(String[] arguments) throws IOException, InterruptedException {
        expect(ask("GET", KEY, null), 404);
        System.out.println("read: nothing there");

        // Only if there is nothing yet.
        String first = tag(expect(put(KEY, "{\"value\": 1}", "If-None-Match", "*"), 201));
        System.out.println("write: 1");
        writeNext(first);
        String newest = writeNext(first); // with a tag that is not the newest any more

        System.out.println("read: " + member(expect(ask("GET", KEY, null), 200).body(), "value"));

        watch(newest);

        String instance = "{\"address\": \"127.0.0.1\", \"port\": 9100, \"tags\": [\"laser\"]}";
        expect(put(SERVICE + "/instances/one", instance), 200, 201);
        System.out.println("register: printer");

        String service = expect(ask("GET", SERVICE, null), 200).body();
        System.out.println("resolve: " + member(service, "address") + ":" + member(service, "port") + " "
            + member(service, "status"));

        expect(ask("DELETE", SERVICE + "/instances/one", null), 204);
        System.out.println("unregister: printer");

        expect(ask("POST", "/v1/watchdog", null), 200, 202, 204);
        System.out.println("heartbeat: taken");

        String lines = "INFO one line\nWARN another\n";
        String taken = expect(ask("POST", "/v1/logs", lines, "Content-Type", "text/plain"), 202).body();
        System.out.println("log: " + member(taken, "records"));
        System.exit(0); // without waiting for the client's threads
    }
}
