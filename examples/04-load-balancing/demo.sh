#!/usr/bin/env bash
# One load balancer in front of two services and a server of one's own: by path, over TLS and HTTP/2, with a WebSocket; what makes a target
# unhealthy; why a request goes where it goes; a new version under load; and a Classic load balancer that becomes an Application Load
# Balancer. On a platform of the demo's own, which is gone afterwards. With aws, docker and curl; what AWS cannot say, longshore says.
#
#   PORT            where the platform listens, 4587 unless given
#   LISTENER_PORT   where the load balancer listens, the port after it unless given
#   PLAIN_PORT, ECHO_PORT, CLASSIC_PORT   its plain listener, the server of one's own, the Classic load balancer; the ports after that
set -Eeuo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export PATH="$here/../../.venv/bin:$PATH:/usr/sbin"
export AWS_PAGER= COLUMNS=${COLUMNS:-120}
port=${PORT:-4587}
listener_port=${LISTENER_PORT:-$((port + 1))}
plain_port=${PLAIN_PORT:-$((listener_port + 1))}
echo_port=${ECHO_PORT:-$((listener_port + 2))}
classic_port=${CLASSIC_PORT:-$((listener_port + 3))}

# shellcheck source=examples/talk.sh
. "$here/../talk.sh"

export LONGSHORE_DATA_DIR=$work/data
children=()
end() {
    for child in "${children[@]}"; do kill "$child" 2>/dev/null || true; done
    longshore down >/dev/null 2>&1 || true
    # An agent keeps what has stopped for a while, to be looked at; nobody will look at these.
    for instance in "$LONGSHORE_DATA_DIR"/agents/*/instance-id; do
        [ -r "$instance" ] || continue
        docker ps --all --quiet --filter "label=longshore.instance=$(cat "$instance")" | xargs -r docker rm --force --volumes >/dev/null 2>&1 || true
    done
    [ -z "${repository:-}" ] || docker rmi --force "$repository:1" >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap end EXIT

# --- what is asked more than once -----------------------------------------------------------------------------------
lb() { aws elbv2 "$@" --output text; }
# Asks the load balancer under its certificate's name, as a client does that trusts the installation.
ask() { curl -sS -m 5 --cacert "$work/root.pem" --resolve "shop.example:$listener_port:127.0.0.1" "$@"; }
healthy() { # TARGET-GROUP COUNT
    [ "$(lb describe-target-health --target-group-arn "$1" --query 'length(TargetHealthDescriptions[?TargetHealth.State==`healthy`])')" = "$2" ]
}
group() { # NAME TYPE PORT PATH
    lb create-target-group --name "$1" --protocol HTTP --port "$3" --target-type "$2" --vpc-id "$vpc" --health-check-path "$4" \
        --health-check-interval-seconds 5 --health-check-timeout-seconds 2 --healthy-threshold-count 2 --unhealthy-threshold-count 2 \
        --query 'TargetGroups[0].TargetGroupArn'
}
rule() { # PRIORITY CONDITION TARGET-GROUP [TRANSFORM]
    local more=()
    [ -z "${4:-}" ] || more=(--transforms "$4")
    run aws elbv2 create-rule --listener-arn "$listener" --priority "$1" --conditions "$2" --actions "Type=forward,TargetGroupArn=$3" \
        "${more[@]}" --query 'Rules[0].Priority' --output text >/dev/null
}

# --- 1 --------------------------------------------------------------------------------------------------------------
for program in longshore aws docker curl python; do
    command -v "$program" >/dev/null || fail "the program '$program' is not here" "make setup installs what is missing"
done

step "Two services and a server of one's own"
run longshore up --detach --port "$port" --instances 2 --zones a,b >/dev/null
settings=$(longshore env)
eval "$settings"
repository=$(aws ecr create-repository --repository-name shop --query 'repository.repositoryUri' --output text)
aws ecr get-login-password | docker login --username AWS --password-stdin "${repository%%/*}" >/dev/null 2>&1
cp -R "$here/../01-first-service/image" "$work/image"
cp /bin/busybox "$work/image/"
docker build --quiet --tag "$repository:1" "$work/image" >"$work/build.log" 2>&1 || { cat "$work/build.log" >&2; false; }
docker push --quiet "$repository:1" >/dev/null

vpc=$(aws ec2 describe-vpcs --query 'Vpcs[0].VpcId' --output text)
subnets=$(aws ec2 describe-subnets --query 'Subnets[].SubnetId' --output text)
api=$(group api instance 80 /)
mobile=$(group mobile instance 80 /)
live=$(group live ip "$echo_port" /health)
for targets in "$api" "$mobile"; do
    aws elbv2 modify-target-group-attributes --target-group-arn "$targets" --attributes Key=deregistration_delay.timeout_seconds,Value=2 >/dev/null
done
python "$here/echo.py" "$echo_port" &
children+=($!)
run aws elbv2 register-targets --target-group-arn "$live" --targets "Id=127.0.0.1,Port=$echo_port"

# --- 2 --------------------------------------------------------------------------------------------------------------
step "A certificate from the installation's own authority, and listeners: HTTPS, and HTTP that leads there"
certificate=$(run aws acm request-certificate --domain-name shop.example --validation-method DNS --query CertificateArn --output text)
run aws acm wait certificate-validated --certificate-arn "$certificate"
longshore ca >"$work/root.pem"
# shellcheck disable=SC2086
balancer=$(lb create-load-balancer --name shop --subnets $subnets --query 'LoadBalancers[0].LoadBalancerArn')
listener=$(run aws elbv2 create-listener --load-balancer-arn "$balancer" --protocol HTTPS --port "$listener_port" \
    --certificates "CertificateArn=$certificate" --ssl-policy ELBSecurityPolicy-TLS13-1-2-2021-06 --query 'Listeners[0].ListenerArn' --output text \
    --default-actions 'Type=fixed-response,FixedResponseConfig={StatusCode=404,ContentType=text/plain,MessageBody=nothing is sold here}')
run aws elbv2 create-listener --load-balancer-arn "$balancer" --protocol HTTP --port "$plain_port" --query 'Listeners[0].Protocol' --output text \
    --default-actions "Type=redirect,RedirectConfig={Protocol=HTTPS,Port=$listener_port,StatusCode=HTTP_301}" >/dev/null
rewrite='[{"Type": "url-rewrite", "UrlRewriteConfig": {"Rewrites": [{"Regex": "^/(api|mobile)/", "Replace": "/"}]}}]'
rule 10 'Field=path-pattern,Values=/api/*' "$api" "$rewrite"
rule 20 'Field=path-pattern,Values=/mobile/*' "$mobile" "$rewrite"
rule 30 'Field=path-pattern,Values=/live,/health' "$live"
run aws elbv2 wait load-balancer-available --load-balancer-arns "$balancer"
service() { # NAME COUNT TARGET-GROUP
    aws ecs register-task-definition --family "$1" --container-definitions "[{\"name\": \"$1\", \"image\": \"$repository:1\", \"cpu\": 64,
        \"memory\": 32, \"stopTimeout\": 2, \"portMappings\": [{\"containerPort\": 80}],
        \"environment\": [{\"name\": \"SERVICE\", \"value\": \"$1\"}]}]" >/dev/null
    run aws ecs create-service --service-name "$1" --task-definition "$1" --desired-count "$2" \
        --load-balancers "targetGroupArn=$3,containerName=$1,containerPort=80" --query 'service.status' --output text >/dev/null
}
instances() { [ "$(aws ecs list-container-instances --query 'length(containerInstanceArns)' --output text)" = 2 ]; }
until_true 30 "two container instances" instances
service api 2 "$api"
service mobile 1 "$mobile"
run aws ecs wait services-stable --services api mobile
until_true 30 "healthy targets" healthy "$api" 2

# --- 3 --------------------------------------------------------------------------------------------------------------
step "Who answers: by path, over HTTP/2 and a WebSocket"
url=https://shop.example:$listener_port
run ask "$url/api/" | sed 's/^/   /'
run ask "$url/mobile/" | sed 's/^/   /'
run ask --http2 -o /dev/null -w '   HTTP/%{http_version}, status %{http_code}, certificate verified: %{ssl_verify_result}\n' "$url/api/"
run curl -sS -o /dev/null -m 5 -H "Host: $(lb describe-load-balancers --names shop --query 'LoadBalancers[0].DNSName')" \
    -w '   %{http_code} to %{redirect_url}\n' "http://127.0.0.1:$plain_port/api/?page=2"
until_true 30 "the server of one's own to be healthy" healthy "$live" 1
run python "$here/talk.py" "wss://shop.example:$listener_port/live" "$work/root.pem" hello again | sed 's/^/   /'

# --- 4 --------------------------------------------------------------------------------------------------------------
step "Why a request goes where it goes"
run longshore lb test shop "$url/mobile/?page=2" | sed 's/^/   /'

# --- 5 --------------------------------------------------------------------------------------------------------------
step "A target that answers 503: unhealthy, and the code is told"
curl -sS -X POST -m 5 "http://127.0.0.1:$echo_port/break" >/dev/null
unhealthy() { [ "$(lb describe-target-health --target-group-arn "$live" --query 'TargetHealthDescriptions[0].TargetHealth.State')" = unhealthy ]; }
until_true 40 "the target to be unhealthy" unhealthy
run aws elbv2 describe-target-health --target-group-arn "$live" --output text \
    --query 'TargetHealthDescriptions[0].TargetHealth.[State, Reason, Description]' | sed 's/^/   /'
curl -sS -X POST -m 5 "http://127.0.0.1:$echo_port/mend" >/dev/null

# --- 6 --------------------------------------------------------------------------------------------------------------
step "A new version under load: nobody notices"
: >"$work/visits"
visit() {
    while :; do ask -o /dev/null -w '%{http_code}\n' "$url/api/" >>"$work/visits" || echo failed >>"$work/visits"; done
}
visit &
children+=($!)
run aws ecs update-service --service api --force-new-deployment --query 'service.status' --output text >/dev/null
run aws ecs wait services-stable --services api
kill "${children[-1]}"
all=$(wc -l <"$work/visits")
failed=$(grep -vc '^200$' "$work/visits" || true)
say "$all requests meanwhile, $failed of them failed"
[ "$failed" = 0 ] || fail "no request was to fail"

# --- 7 --------------------------------------------------------------------------------------------------------------
step "A Classic load balancer becomes an Application Load Balancer: first in thought"
# shellcheck disable=SC2086
run aws elb create-load-balancer --load-balancer-name old --subnets $subnets --query DNSName --output text >/dev/null \
    --listeners "Protocol=HTTP,LoadBalancerPort=$classic_port,InstanceProtocol=HTTP,InstancePort=8080"
run aws elb configure-health-check --load-balancer-name old --query 'HealthCheck.Target' --output text >/dev/null \
    --health-check Target=HTTP:8080/health,Interval=5,Timeout=2,UnhealthyThreshold=2,HealthyThreshold=2
aws elb create-lb-cookie-stickiness-policy --load-balancer-name old --policy-name day --cookie-expiration-period 86400
aws elb set-load-balancer-policies-of-listener --load-balancer-name old --load-balancer-port "$classic_port" --policy-names day
run longshore elb-copy old --dry-run | sed 's/^/   /'
run aws elb delete-load-balancer --load-balancer-name old

printf '\n   That was it; the demo'"'"'s platform goes away.\n'
