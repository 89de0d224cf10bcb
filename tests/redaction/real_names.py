"""Names from the configuration of public projects: those of secrets, and those that only sound like it."""

SECRETS = """
Django: SECRET_KEY SECRET_KEY_FALLBACKS EMAIL_HOST_PASSWORD
Airflow: AIRFLOW__CORE__FERNET_KEY AIRFLOW__WEBSERVER__SECRET_KEY AIRFLOW__SMTP__SMTP_PASSWORD
  AIRFLOW__API_AUTH__JWT_SECRET AIRFLOW__CELERY__FLOWER_BASIC_AUTH
Postgres: PGPASSWORD POSTGRES_PASSWORD POSTGRESQL_REPLICATION_PASSWORD sslpassword
MySQL, MariaDB: MYSQL_ROOT_PASSWORD MYSQL_PASSWORD MYSQL_PWD MARIADB_ROOT_PASSWORD
MongoDB, Redis: MONGO_INITDB_ROOT_PASSWORD REDIS_PASSWORD requirepass masterauth REDISCLI_AUTH
SSH: pkey
AWS: AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN aws_secret_access_key aws_session_token SecretAccessKey
Azure: AZURE_CLIENT_SECRET AZURE_STORAGE_KEY AccountKey SharedAccessKey AZURE_STORAGE_SAS_TOKEN
  APPINSIGHTS_INSTRUMENTATIONKEY Ocp-Apim-Subscription-Key x-functions-key
Google: GOOGLE_APPLICATION_CREDENTIALS_JSON private_key GOOGLE_CLIENT_SECRET GEMINI_API_KEY
GitHub, GitLab: GITHUB_TOKEN GH_TOKEN GITHUB_APP_PRIVATE_KEY GITLAB_TOKEN CI_JOB_TOKEN
  CI_REGISTRY_PASSWORD PRIVATE-TOKEN GITLAB_ROOT_PASSWORD CI_DEPLOY_PASSWORD
Kafka, Spark: ssl.keystore.password ssl.key.password ssl.truststore.password basic.auth.user.info
  spark.hadoop.fs.s3a.secret.key spark.authenticate.secret fs.s3a.access.key
dbt, Snowflake: DBT_ENV_SECRET_GIT_CREDENTIAL DBT_PASSWORD SNOWFLAKE_PASSWORD private_key_passphrase
  PRIVATE_KEY_PASSPHRASE DATABRICKS_TOKEN
Vault: VAULT_TOKEN VAULT_SECRET_ID VAULT_DEV_ROOT_TOKEN unseal_key client_token VAULT_HSM_PIN
Grafana, Prometheus: GF_SECURITY_ADMIN_PASSWORD GF_SECURITY_SECRET_KEY bearer_token GF_SMTP_PASSWORD
Docker: DOCKER_PASSWORD DOCKERHUB_TOKEN REGISTRY_HTTP_SECRET
RabbitMQ, Elastic: RABBITMQ_DEFAULT_PASS RABBITMQ_ERLANG_COOKIE ELASTIC_PASSWORD ELASTIC_APM_SECRET_TOKEN
MinIO: MINIO_ROOT_PASSWORD MINIO_SECRET_KEY MINIO_ACCESS_KEY
Rails, Laravel, WordPress: SECRET_KEY_BASE RAILS_MASTER_KEY APP_KEY AUTH_KEY SECURE_AUTH_SALT
  LOGGED_IN_KEY DB_PASSWORD WORDPRESS_DB_PASSWORD
Node: NPM_TOKEN _authToken NEXTAUTH_SECRET JWT_SECRET SESSION_SECRET COOKIE_SECRET
Services: OPENAI_API_KEY ANTHROPIC_API_KEY STRIPE_SECRET_KEY STRIPE_WEBHOOK_SECRET SLACK_BOT_TOKEN
  SLACK_SIGNING_SECRET TWILIO_AUTH_TOKEN SENDGRID_API_KEY MAILGUN_API_KEY SENTRY_AUTH_TOKEN DD_API_KEY
  DD_APP_KEY NEW_RELIC_LICENSE_KEY TELEGRAM_BOT_TOKEN CLOUDFLARE_API_TOKEN CF_API_KEY HF_TOKEN
  PAGERDUTY_TOKEN SUPABASE_SERVICE_ROLE_KEY DIGITALOCEAN_ACCESS_TOKEN HEROKU_API_KEY LINEAR_API_KEY
Others: KEYCLOAK_ADMIN_PASSWORD LDAP_BIND_PASSWORD SMTP_PASS N8N_ENCRYPTION_KEY SUPERSET_SECRET_KEY
  BORG_PASSPHRASE RESTIC_PASSWORD TF_VAR_db_password SOPS_AGE_KEY ANSIBLE_BECOME_PASS SSH_PRIVATE_KEY
"""
"""Each line: a kind of project, then names."""

OTHERS = """
Django: PASSWORD_HASHERS AUTH_PASSWORD_VALIDATORS PASSWORD_RESET_TIMEOUT CSRF_COOKIE_NAME
  SESSION_COOKIE_AGE SESSION_COOKIE_SECURE CSRF_TOKEN_HEADER_NAME
Airflow: AIRFLOW__SECRETS__BACKEND AIRFLOW__CORE__FERNET_KEY_CMD AIRFLOW__API__AUTH_BACKENDS
  AIRFLOW__API_AUTH__JWT_EXPIRATION_TIME webserverSecretKeySecretName
Postgres: PGPASSFILE POSTGRES_PASSWORD_FILE POSTGRES_USER password_encryption POSTGRES_HOST_AUTH_METHOD
  passwordcheck sslkey
MySQL, MariaDB: MYSQL_ALLOW_EMPTY_PASSWORD MYSQL_RANDOM_ROOT_PASSWORD MYSQL_ROOT_PASSWORD_FILE
  validate_password_length validate_password.policy default_password_lifetime password_history
  password_reuse_interval
AWS: AWS_ACCESS_KEY_ID aws_access_key_id AWS_WEB_IDENTITY_TOKEN_FILE SecretName SecretArn NextToken
  ContinuationToken PasswordPolicy MinimumPasswordLength RequireSymbols MaxPasswordAge
  PasswordReusePrevention AllowUsersToChangePassword KmsKeyId
Azure: AZURE_CLIENT_ID AZURE_TENANT_ID AZURE_FEDERATED_TOKEN_FILE AZURE_AUTHORITY_HOST PartitionKey
  RowKey
Google: GOOGLE_APPLICATION_CREDENTIALS token_uri private_key_id auth_uri pageToken nextPageToken
GitHub, GitLab: password_authentication_enabled_for_web require_two_factor password_number_required
  secret_detection_enabled token_expires_at minimum_password_length
Kafka, Spark: ssl.keystore.location ssl.keystore.type sasl.oauthbearer.token.endpoint.url
  basic.auth.credentials.source SOPS_AGE_KEY_FILE key.serializer
  spark.kubernetes.authenticate.submission.oauthTokenFile spark.security.credentials.hive.enabled
  delegation.token.max.lifetime.ms delegation.token.expiry.time.ms partition.assignment.strategy
dbt, SQL: unique_key primary_key foreign_key sort_key dist_key PRIMARY_KEY SORT_KEY surrogate_key
  partition_key cluster_keys client_key service_key role_key customer_key subscription_key
Vault: token_ttl token_max_ttl token_policies token_num_uses token_type secret_id_ttl secret_id_num_uses
  secret_shares secret_threshold
Kubernetes, Helm: secretName existingSecret imagePullSecrets secretKeyRef.name
  automountServiceAccountToken existingSecretPasswordKey tlsSecret
Grafana, nginx: GF_AUTH_DISABLE_LOGIN_FORM password_hint GF_AUTH_BASIC_ENABLED
  token_rotation_interval_minutes proxy_cache_key keepalive_requests
Models: MAX_TOKENS max_new_tokens prompt_tokens completion_tokens total_tokens num_tokens
  tokens_per_minute eos_token pad_token bos_token TOKENIZERS_PARALLELISM tokenizer_name
Policies: PASSWORD_MIN_LENGTH REQUIRE_PASSWORD TOKEN_TTL SECRET_NAME PASSWORD_FILE
  ACCESS_TOKEN_EXPIRE_MINUTES JWT_ALGORITHM JWT_ISSUER REFRESH_TOKEN_LIFETIME PASSWORD_RESET_URL
  NO_PASSWORD USE_TOKEN HAS_SECRET PASSWORD_PROMPT PASSWORD_COLUMN TOKEN_URL SECRET_ROTATION_DAYS
  API_KEY_HEADER CREDENTIALS_PATH FORCE_PASSWORD_CHANGE PASSWORD_EXPIRY_DAYS
Words: AUTHOR AUTHORITY PWD OLDPWD KEYBOARD COMPASS BYPASS MONKEY SECRETARY passenger tokenize pinned
  spinner shipping turkey hockey key keys user path host pinging CORS_ALLOW_CREDENTIALS withCredentials
  AUTH_TYPE
"""
"""Each line: a kind of project, then names."""


def names(lines: str) -> list[str]:
    """Return the names in such lines."""
    return [word for line in lines.strip().splitlines() for word in line.rpartition(": ")[2].split()]
