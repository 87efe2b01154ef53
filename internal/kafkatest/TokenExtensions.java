import javax.security.auth.callback.Callback;
import javax.security.auth.callback.UnsupportedCallbackException;
import java.io.IOException;
import org.apache.kafka.common.security.oauthbearer.OAuthBearerExtensionsValidatorCallback;
import org.apache.kafka.common.security.oauthbearer.OAuthBearerValidatorCallbackHandler;

/** Checks tokens as Kafka does, and wants an extension, logicalCluster, beside each. */
public class TokenExtensions extends OAuthBearerValidatorCallbackHandler {
    @Override
    public void handle(Callback[] callbacks) throws IOException, UnsupportedCallbackException {
        super.handle(callbacks);
        for (Callback callback : callbacks)
            if (callback instanceof OAuthBearerExtensionsValidatorCallback extensions
                && !"lkc-1".equals(extensions.inputExtensions().map().get("logicalCluster")))
                extensions.error("logicalCluster", "must be lkc-1");
    }
}
