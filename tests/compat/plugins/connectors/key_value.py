from aetherflow.core.api import ConnectorBase, register_connector


@register_connector("kv", "legacy")
class LegacyKV:
    def __init__(self, config, options=None):
        self.data = dict(config)

    def get(self, key):
        return self.data[key]


class KeywordKV(ConnectorBase):
    def __init__(self, *, config, options):
        self.config = config
        self.options = options

    def get(self, key):
        return f"{self.options['prefix']}{self.config[key]}"


register_connector("kv", "keyword")(KeywordKV)
