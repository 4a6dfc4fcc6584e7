-- A data directory of kmsd 0.1.0 with schema version 1, as SQL; its root key and a blob are in test_kmsd_migrate.c.
BEGIN TRANSACTION;
CREATE TABLE access_keys ( access_key_id TEXT PRIMARY KEY, account TEXT NOT NULL, principal_arn TEXT NOT NULL, wrapped BLOB NOT NULL, created_ms INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO "access_keys" VALUES('AKIAPZN5464LKBXSMSYW','111122223333','arn:aws:iam::111122223333:root',X'5453A29878DD7D91D3FDBC69884E9A0FA7B7A1E407CC304246C30848D0D548B1F3F517B74388486DDADC867B44DA505EBBF1FD028DFE8D9B49D156CEF81BB029E2CCDA32',1795306440505);
CREATE TABLE aliases ( account TEXT NOT NULL, region TEXT NOT NULL, name TEXT NOT NULL, key_id TEXT NOT NULL, created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL, PRIMARY KEY (account, region, name)) WITHOUT ROWID;
INSERT INTO "aliases" VALUES('111122223333','us-east-1','alias/old','dc1da6ee-f74c-4139-a01d-0803f1039505',1795306447579,1795306447579);
CREATE TABLE keys ( account TEXT NOT NULL, region TEXT NOT NULL, key_id TEXT NOT NULL, state TEXT NOT NULL, description TEXT NOT NULL, policy TEXT NOT NULL, material_id BLOB NOT NULL, created_ms INTEGER NOT NULL, deletion_ms INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (account, region, key_id)) WITHOUT ROWID;
INSERT INTO "keys" VALUES('111122223333','us-east-1','dc1da6ee-f74c-4139-a01d-0803f1039505','Enabled','made by version 1','{
  "Version" : "2012-10-17",
  "Id" : "key-default-1",
  "Statement" : [ {
    "Sid" : "Enable IAM User Permissions",
    "Effect" : "Allow",
    "Principal" : {
      "AWS" : "arn:aws:iam::111122223333:root"
    },
    "Action" : "kms:*",
    "Resource" : "*"
  } ]
}',X'DC1DA6EEF74C4139A01D0803F103950515C284A25C17785A52D0A487AC66D742',1795306446200,0);
CREATE TABLE materials ( material_id BLOB PRIMARY KEY, account TEXT NOT NULL, region TEXT NOT NULL, key_id TEXT NOT NULL, wrapped BLOB NOT NULL, created_ms INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO "materials" VALUES(X'DC1DA6EEF74C4139A01D0803F103950515C284A25C17785A52D0A487AC66D742','111122223333','us-east-1','dc1da6ee-f74c-4139-a01d-0803f1039505',X'1D40393115C7A5F0354A1F97CA82D3237E26104D15A847D7DD6D58F91A1C0B2B7EB6F39609119D86C31C919D2551DBF61E5C18CB8B4C16108C340B07',1795306446200);
CREATE TABLE root_check (wrapped BLOB NOT NULL);
INSERT INTO "root_check" VALUES(X'14CDDB7E963594E8FEFCEBD30A68F05EA0CFA42847D883CC37A3A04BA9');
CREATE TABLE schema_version (version INTEGER NOT NULL);
INSERT INTO "schema_version" VALUES(1);
CREATE TABLE tags ( account TEXT NOT NULL, region TEXT NOT NULL, key_id TEXT NOT NULL, tag_key TEXT NOT NULL, tag_value TEXT NOT NULL, PRIMARY KEY (account, region, key_id, tag_key)) WITHOUT ROWID;
INSERT INTO "tags" VALUES('111122223333','us-east-1','dc1da6ee-f74c-4139-a01d-0803f1039505','team','storage');
CREATE INDEX access_keys_principal ON access_keys (principal_arn, created_ms);
CREATE INDEX keys_deletion ON keys (deletion_ms) WHERE deletion_ms > 0;
CREATE INDEX materials_key ON materials (account, region, key_id);
CREATE INDEX aliases_key ON aliases (account, region, key_id, name);
COMMIT;