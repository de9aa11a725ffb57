# The commands of the README. Needs Python 3.11 or newer and make; every target makes the
# virtual environment that it needs, once, from the locks in requirements/.

PYTHON ?= python3
VENVS := .venv

# $(call venv,NAME): the lock is complete, so pip need not resolve (--no-deps) and every file is checked.
define venv
$(VENVS)/$(1)/.made: requirements/$(1).txt
	@echo "making $(VENVS)/$(1) from requirements/$(1).txt (once)"
	@$$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed, this is " + sys.version.split()[0] + ": make PYTHON=/path/to/python3.11 …")'
	@rm -rf $(VENVS)/$(1)
	@$$(PYTHON) -m venv $(VENVS)/$(1)
	@$(VENVS)/$(1)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/$(1).txt
	@touch $$@
endef
$(foreach env,run test scan,$(eval $(call venv,$(env))))
