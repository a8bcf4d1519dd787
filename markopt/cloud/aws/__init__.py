"""AWS: EC2, Lambda, an application load balancer and CloudWatch behind the back end's protocol."""

from markopt.cloud.aws.calls import RetrySettings
from markopt.cloud.aws.load import LoadSettings
from markopt.cloud.aws.settings import AwsCloud, WarmUpSettings
from markopt.cloud.aws.user_data import ServerSettings

__all__ = ["AwsCloud", "LoadSettings", "RetrySettings", "ServerSettings", "WarmUpSettings"]
