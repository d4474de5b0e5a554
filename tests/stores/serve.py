"""A server of objects for tests: moto's S3, which checks signatures and permissions as AWS does.

Puts the file PATH as s3://policy/prod/main.tar.gz and prints, as JSON, where it serves and a key that may
read it. What stands on a line of standard input is the name of another file to put there; the server ends
with the input. The object's ETag is printed after each.
"""

import json
import sys

import boto3
import moto.settings
from moto.server import ThreadedMotoServer

BUCKET, KEY = "policy", "prod/main.tar.gz"
READS = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{BUCKET}/*"}],
}


def client(service, endpoint):
    anybody = {"aws_access_key_id": "nobody", "aws_secret_access_key": "nothing"}
    return boto3.client(service, region_name="us-east-1", endpoint_url=endpoint, **anybody)


def put(s3, path):
    with open(path, "rb") as file:
        return s3.put_object(Bucket=BUCKET, Key=KEY, Body=file)["ETag"]


def main():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    iam, s3 = client("iam", endpoint), client("s3", endpoint)
    iam.create_user(UserName="doorward")
    iam.put_user_policy(UserName="doorward", PolicyName="reads", PolicyDocument=json.dumps(READS))
    key = iam.create_access_key(UserName="doorward")["AccessKey"]
    s3.create_bucket(Bucket=BUCKET)
    put(s3, sys.argv[1])
    told = {"endpoint": endpoint, "id": key["AccessKeyId"], "secret": key["SecretAccessKey"]}
    print(json.dumps(told), flush=True)
    checked(True)
    for line in sys.stdin:
        checked(False)
        etag = put(s3, line.strip())
        checked(True)
        print(etag, flush=True)
    server.stop()


def checked(is_checked):
    """From now on calls are checked, or are not. By default none is."""
    moto.settings.INITIAL_NO_AUTH_ACTION_COUNT = 0 if is_checked else float("inf")


if __name__ == "__main__":
    main()
