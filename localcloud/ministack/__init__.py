"""ministack, with what the application needs of AWS and this version of ministack lacks.

Each module repairs one service by wrapping functions of the imported ministack; its `apply` refuses to start
(`IncompatibleMinistackError`) if the installed version does not fit: ministack would then behave differently
from AWS, and nobody would notice.
"""
