#!/usr/bin/env bash
# Who may do what, and who did: two accounts, a repository that one of them may pull from and not push to, what the records say of it and
# why it was refused; what a deployer really needs, found by watching it; and a role's sessions that end at once. On a platform of the
# demo's own, which is gone afterwards. With aws and docker; what AWS cannot say, longshore says.
#
#   PORT     where the platform listens, 4597 unless given
set -Eeuo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export PATH="$here/../../.venv/bin:$PATH:/usr/sbin"
export AWS_PAGER= COLUMNS=${COLUMNS:-120}
port=${PORT:-4597}

# shellcheck source=examples/talk.sh
. "$here/../talk.sh"

export LONGSHORE_DATA_DIR=$work/data
end() {
    longshore down >/dev/null 2>&1 || true
    [ -z "${repository:-}" ] || docker rmi --force "$repository:1" "$repository:2" >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap end EXIT

owner=000000000000
partner=222222222222

# Each of them has keys, and a docker client, of their own.
as() { # NAME COMMAND…
    local keys=$work/$1.keys config=$work/docker-$1
    shift
    (
        # shellcheck source=/dev/null
        . "$keys"
        DOCKER_CONFIG=$config "$@"
    )
}
told() { # what is expected to be refused: shows what was said, and fails where it was not
    if "$@" >"$work/said" 2>&1; then fail "nobody refused this: $*"; fi
    sed -n '/denied\|not authorized\|error occurred/{s/^/   /;s/ Encoded authorization failure message.*//;p;q}' "$work/said"
}
log_in() { as "$1" sh -c "aws ecr get-login-password | docker login --username AWS --password-stdin 127.0.0.1:$port" >/dev/null 2>&1; }

# --- 1 --------------------------------------------------------------------------------------------------------------
for program in longshore aws docker python; do
    command -v "$program" >/dev/null || fail "the program '$program' is not here" "make setup installs what is missing"
done

step "Two accounts"
run longshore up --detach --port "$port" --instances 1 >/dev/null
settings=$(longshore env)
eval "$settings"
longshore env >"$work/owner.keys"
run longshore account add "$partner" >"$work/partner.keys"
run longshore account list
log_in owner
log_in partner

# --- 2 --------------------------------------------------------------------------------------------------------------
step "A repository that the other account may pull from"
repository=$(run aws ecr create-repository --repository-name shared/app --query 'repository.repositoryUri' --output text)
mkdir "$work/image" && printf 'FROM scratch\nCOPY demo.sh /demo.sh\n' >"$work/image/Dockerfile" && cp "$here/demo.sh" "$work/image/"
docker build --quiet --tag "$repository:1" "$work/image" >/dev/null
docker tag "$repository:1" "$repository:2"
run as owner docker push --quiet "$repository:1"
say "before there is a policy:"
told as partner docker pull --quiet "$repository:1"
cat >"$work/read-only.json" <<JSON
{"Version": "2012-10-17", "Statement": [{"Sid": "PartnersMayPull", "Effect": "Allow", "Principal": {"AWS": "$partner"},
  "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability"]}]}
JSON
run aws ecr set-repository-policy --repository-name shared/app --policy-text "file://$work/read-only.json" --query policyText --output text >/dev/null
say "with it, a pull:"
docker rmi --force "$repository:1" >/dev/null
run as partner docker pull --quiet "$repository:1"
say "and a push:"
told as partner docker push --quiet "$repository:2"

# --- 3 --------------------------------------------------------------------------------------------------------------
step "Why, and who did what"
app=arn:aws:ecr:us-east-1:$owner:repository/shared/app
run longshore iam explain "arn:aws:iam::$partner:root" ecr:BatchGetImage "$app"
run longshore iam explain "arn:aws:iam::$partner:root" ecr:PutImage "$app" || say "(it ends with exit code $?)"
run longshore audit --who "arn:aws:iam::$partner:root" --since 10m
run aws cloudtrail lookup-events --lookup-attributes AttributeKey=EventName,AttributeValue=SetRepositoryPolicy \
    --query 'Events[].[Username,EventName,Resources[0].ResourceName]' --output text

# --- 4 --------------------------------------------------------------------------------------------------------------
step "What a deployer really needs"
cat >"$work/trust.json" <<JSON
{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": "$owner"}, "Action": "sts:AssumeRole"}]}
JSON
cat >"$work/broad.json" <<JSON
{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["ecs:*", "ecr:*", "elasticloadbalancing:*"], "Resource": "*"}]}
JSON
role=$(run aws iam create-role --role-name deployer --assume-role-policy-document "file://$work/trust.json" --query Role.Arn --output text)
run aws iam put-role-policy --role-name deployer --policy-name work --policy-document "file://$work/broad.json"
aws sts assume-role --role-arn "$role" --role-session-name monday --output text \
    --query 'Credentials.[AccessKeyId,SecretAccessKey,SessionToken]' |
    { read -r id secret token && printf 'unset AWS_PROFILE\nexport AWS_ACCESS_KEY_ID=%s AWS_SECRET_ACCESS_KEY=%s AWS_SESSION_TOKEN=%s\n' "$id" "$secret" "$token"; } >"$work/deployer.keys"
run longshore iam record start mondays --principal role/deployer --for 1h
deploy() {
    run as deployer aws ecs register-task-definition --family web --container-definitions \
        '[{"name": "app", "image": "'"$repository:1"'", "memory": 64, "command": ["/app"]}]' --query taskDefinition.taskDefinitionArn --output text
    run as deployer aws ecs create-service --service-name "$1" --task-definition web --desired-count 0 --query service.status --output text
    run as deployer aws ecs describe-services --services "$1" --query 'services[0].serviceName' --output text
}
deploy web
run longshore iam record stop mondays
run longshore iam policy mondays >"$work/least.json"
sed "s/^/   /" "$work/least.json"
say "instead of all that it had, would it have got by with this?"
run longshore iam dry-run --role deployer --policy-name work --document "$work/least.json"
say "and without describing services?"
sed '/ecs:DescribeServices/d' "$work/least.json" | python -c 'import json, re, sys; print(json.dumps(json.loads(re.sub(r",(\s*\])", r"\1", sys.stdin.read()))))' >"$work/less.json"
run longshore iam dry-run --role deployer --policy-name work --document "$work/less.json" || say "(it ends with exit code $?)"
run aws iam put-role-policy --role-name deployer --policy-name work --policy-document "file://$work/least.json"
say "what it did not do before, it may not any more:"
told as deployer aws ecr create-repository --repository-name mine

# --- 5 --------------------------------------------------------------------------------------------------------------
step "The end of a session, and of the secret behind all of them"
run as deployer aws sts get-caller-identity --query Arn --output text
run longshore iam revoke-sessions --role deployer
told as deployer aws sts get-caller-identity
run longshore keys rotate
run longshore keys status
say "who has a key of their own, or is logged in, notices nothing:"
run as partner docker pull --quiet "$repository:1"
run longshore audit verify
