// Mints a click link. Usage: java Mint.java BASE SECRET k=KEY c=CLICK a=AD ... d=URL (link order).
import static java.nio.charset.StandardCharsets.UTF_8;

import java.util.*;
import java.util.stream.*;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

public class Mint {
    // --- snippet
    static String b64(byte[] data) {
        return Base64.getUrlEncoder().withoutPadding().encodeToString(data);
    }

    static String value(String name, String text) {
        if (name.equals("d")) return b64(text.getBytes(UTF_8));
        boolean plain = text.matches("[A-Za-z0-9._-][A-Za-z0-9._~-]*");
        return plain ? text : "~" + b64(text.getBytes(UTF_8));
    }

    static String mint(String base, String secret, List<String[]> params) throws Exception {
        String path = "/c?" + params.stream().map(p -> p[0] + "=" + value(p[0], p[1]))
            .collect(Collectors.joining("&"));
        Mac mac = Mac.getInstance("HmacSHA256");
        mac.init(new SecretKeySpec(secret.getBytes(UTF_8), "HmacSHA256"));
        return base + path + "&s=" + b64(mac.doFinal(path.getBytes(UTF_8)));
    }
    // --- end

    public static void main(String[] args) throws Exception {
        List<String[]> params = Arrays.stream(args).skip(2).map(a -> a.split("=", 2))
            .collect(Collectors.toList());
        System.out.println(mint(args[0], args[1], params));
    }
}
